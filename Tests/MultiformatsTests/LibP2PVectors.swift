import Foundation
import Multiformats

/// The known answers of `Vectors/libp2p/vectors.json`.
enum LibP2PVectors {
    struct Key: Decodable {
        let seed: String
        let public_pb: String
        let peer_id: String
        let base58: String
        let cid: String
    }
    struct PeerIDText: Decodable {
        let same_id: [String]
        let hex: String
        let ed25519: String
        let ed25519_hex: String
    }
    struct Record: Decodable {
        let signer: String
        let seq: UInt64
        let addrs: [String]
        let payload: String
        let signed_bytes: String
        let envelope: String
    }
    struct Addresses: Decodable { let pairs: [[String]] }
    struct File: Decodable {
        let ed25519: [Key]
        let peer_id_text: PeerIDText
        let peer_record: Record
        let multiaddr: Addresses
    }

    static func load() throws -> File {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors/libp2p/vectors.json"))
        return try JSONDecoder().decode(File.self, from: data)
    }
}

/// Bytes of hexadecimal text; traps on anything else, since the texts are ours.
func hex(_ text: String) -> [UInt8] {
    guard let bytes = Base16.decode(text.utf8) else { fatalError("not hexadecimal: \(text)") }
    return bytes
}

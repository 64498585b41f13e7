import BlockStore
import MRProtocol
import Multiformats

/// Fetches the inner nodes of a job's inputs that are not here, so that the job can be planned.
struct InputFetcher: Sendable {
    let exchange: Exchange

    /// Most inner nodes of one job: those of 4 TiB.
    static let maxNodeCount = 200_000

    /// Makes sure that every node that is not a raw leaf is here, level by level.
    func fetchNodes(of inputs: [JobInput], into ingest: Ingest) async throws(TaskFault) {
        var level = inputs.map(\.root)
        var name = inputs.count == 1 ? inputs[0].name : "the inputs"
        var seen: Set<CID> = []
        while !level.isEmpty {
            let nodes = level.filter {
                ($0.codec == .dagPB || inputs.contains(input: $0)) && seen.insert($0).inserted
            }
            guard seen.count <= InputFetcher.maxNodeCount else {
                throw .malformedInput(
                    file: name,
                    offset: 0,
                    reason: "over \(InputFetcher.maxNodeCount) inner nodes"
                )
            }
            level = []
            for start in stride(from: 0, to: nodes.count, by: 256) {
                let batch = Array(nodes[start..<min(nodes.count, start + 256)])
                do {
                    try await exchange.ensure(
                        batch,
                        ingest: ingest,
                        options: FetchOptions(patience: FetchOptions.defaultPatience)
                    )
                    level += try await exchange.reader.examine(batch).links
                } catch {
                    let cid = (error as? ExchangeError)?.cid ?? (error as? BlockStoreError)?.cid ?? batch[0]
                    if let input = inputs.first(where: { $0.root == cid }) { name = input.name }
                    throw .blockUnavailable(cid, file: name, offset: 0, reason: "\(error)")
                }
            }
        }
    }
}

extension [JobInput] {
    fileprivate func contains(input root: CID) -> Bool { contains { $0.root == root } }
}

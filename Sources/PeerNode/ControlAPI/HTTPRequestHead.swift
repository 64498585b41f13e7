internal import CWebSockets

/// What the server needs of a request's head, copied out of libwebsockets.
struct HTTPRequestHead {
    var method: HTTPMethod?
    var query: [(name: String, value: String)] = []
    var contentLength: UInt64?
    var isChunked: Bool
    var expectsContinue: Bool

    private static let methods: [(HTTPMethod, lws_token_indexes)] = [
        (.get, WSI_TOKEN_GET_URI), (.post, WSI_TOKEN_POST_URI), (.put, WSI_TOKEN_PUT_URI),
        (.delete, WSI_TOKEN_DELETE_URI), (.head, WSI_TOKEN_HEAD_URI),
    ]

    /// Most query items that are read.
    static let queryItemLimit = 64

    init(reading wsi: OpaquePointer, path: String) {
        method = HTTPRequestHead.methods.first { lws_hdr_total_length(wsi, $0.1) > 0 }?.0
        contentLength = HTTPRequestHead.header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH).flatMap { UInt64($0) }
        isChunked = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0
        expectsContinue = lws_hdr_custom_length(wsi, "expect:", 7) > 0
        query = HTTPRequestHead.readQuery(wsi)
    }

    /// Whether bytes of a body follow the head.
    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }

    private static func header(_ wsi: OpaquePointer, _ token: lws_token_indexes) -> String? {
        let length = Int(lws_hdr_total_length(wsi, token))
        guard length > 0 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: length + 1) { buffer in
            let copied = lws_hdr_copy(wsi, buffer.baseAddress, Int32(length + 1), token)
            guard copied >= 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(buffer).prefix(Int(copied)), as: UTF8.self)
        }
    }

    private static func readQuery(_ wsi: OpaquePointer) -> [(name: String, value: String)] {
        var items: [(name: String, value: String)] = []
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: HTTPServer.headByteLimit) { buffer in
            for index in 0..<queryItemLimit {
                let length = lws_hdr_copy_fragment(
                    wsi,
                    buffer.baseAddress,
                    Int32(buffer.count),
                    WSI_TOKEN_HTTP_URI_ARGS,
                    Int32(index)
                )
                guard length >= 0 else { return }
                let item = UnsafeRawBufferPointer(buffer).prefix(Int(length))
                let equals = item.firstIndex(of: UInt8(ascii: "=")) ?? item.endIndex
                items.append(
                    (
                        String(decoding: item[..<equals], as: UTF8.self),
                        String(decoding: item[equals...].dropFirst(), as: UTF8.self)
                    )
                )
            }
        }
        return items
    }
}

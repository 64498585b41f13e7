import CLinux
import FunctionProtocol
import Glibc
import Testing

@Suite("The page on which a process says where it is")
struct PlacePageTests {
    /// Two mappings of one page, as node and process have them, and its file.
    private func withPage(_ body: (_ node: PlacePage, _ process: PlacePage, _ file: Int32) -> Void) throws {
        let file = make_sealed_memory(PlacePage.byteCount)
        try #require(file >= 0)
        defer { close(file) }
        let node = try #require(PlacePage(descriptor: file))
        let process = try #require(PlacePage(descriptor: file))
        body(node, process, file)
    }

    @Test("What the process writes the node reads, until it clears the page")
    func shared() throws {
        try withPage { node, process, _ in
            let before = node.content
            #expect(before.record == nil)
            process[.frame] = 2
            process[.offset] = 262_144
            #expect(node.content.record?.frame == 2)
            #expect(node.content.record?.offset == 262_144)
            let place = node.content
            process[.steps] += 1
            #expect(node.content != place)
            node.clear()
            #expect(node.content == before)
        }
    }

    @Test(
        "Numbers that are none are no record",
        arguments: [
            (0, 0), (-1, 0), (.nan, 0), (1.5, 0), (.infinity, 0), (1e300, 0), (1, -1), (1, .nan), (1, 1e300),
        ]
            as [(Double, Double)]
    )
    func hostile(frame: Double, offset: Double) throws {
        try withPage { node, process, _ in
            process[.frame] = frame
            process[.offset] = offset
            #expect(node.content.record == nil)
        }
    }

    @Test("Nobody can change its size, which would end whoever reads it")
    func sealed() throws {
        try withPage { _, _, file in
            #expect(ftruncate(file, 0) == -1 && errno == EPERM)
            #expect(ftruncate(file, off_t(2 * PlacePage.byteCount)) == -1 && errno == EPERM)
        }
    }
}

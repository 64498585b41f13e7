import Foundation

/// Runs shell pipelines over files, for results that come from outside.
struct Pipeline {
    private let folder: URL

    /// Writes `files` to a new folder.
    init(_ files: [(name: String, bytes: [UInt8])]) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("engines-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for file in files { try Data(file.bytes).write(to: folder.appendingPathComponent(file.name)) }
    }

    /// What `command` prints in that folder under `LC_ALL=C`.
    func output(of command: String, _ arguments: [String] = []) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", "set -o pipefail; " + command, "bash"] + arguments
        process.currentDirectoryURL = folder
        process.environment = ["LC_ALL": "C", "PATH": "/usr/bin:/bin"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Array(data)
    }

    /// Deletes the folder.
    func remove() { try? FileManager.default.removeItem(at: folder) }
}

/// Every command.
enum VerbTable {
    static let all: [Verb] = [
        AddCommand.verb, CatCommand.verb, GetCommand.verb, ListCommand.verb,
        RunCommand.verb, ResultCommand.verb, StatusCommand.verb, JobsCommand.verb, CancelCommand.verb,
        LogsCommand.verb,
        PeerCommands.peers, PeerCommands.connect, PeerCommands.disconnect, IdentityCommand.verb,
        PeerCommands.ping,
        BlockCommands.get, BlockCommands.put, BlockCommands.stat, BlockCommands.remove,
        DAGCommands.export, DAGCommands.import, DAGCommands.stat,
        PinCommands.add, PinCommands.remove, PinCommands.list,
        RepositoryCommands.stat, RepositoryCommands.collect, RepositoryCommands.verify,
        FunctionCommand.check,
        PolicyCommands.show, PolicyCommands.allow, PolicyCommands.deny, PolicyCommands.reset,
        CIDCommand.verb, DiagnosticCommands.echo,
    ]

    /// The verb that the words begin with, and the words behind it.
    static func find(_ words: [String]) -> (verb: Verb, rest: [String])? {
        for verb in all {
            let name = verb.name.split(separator: " ").map(String.init)
            if words.starts(with: name) { return (verb, Array(words.dropFirst(name.count))) }
        }
        return nil
    }
}

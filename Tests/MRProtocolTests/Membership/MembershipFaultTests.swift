import Foundation
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

private let environment = ProcessInfo.processInfo.environment
/// `FAULT_NODES` and `FAULT_SEEDS` (1 … that many) make the runs larger and more.
private let nodeCount = environment["FAULT_NODES"].flatMap(Int.init) ?? 30
/// In seeds 28 and 30 the news of some newcomers is lost: they stay unknown unless they introduce themselves later.
private let seeds =
    environment["FAULT_SEEDS"].flatMap(UInt64.init).map { Array(1...max($0, 1)) } ?? [1, 2, 3, 4, 28, 30]

@Suite("Membership under random faults", .serialized)
struct MembershipFaultTests {
    private static let stormRounds = 30

    @Test(
        "loss, partitions, crashes and restarts leave the invariants whole, and no live node dead for ever",
        arguments: seeds
    )
    func storm(seed: UInt64) throws {
        var simulation = MembershipSimulation(nodeCount: nodeCount, seed: seed)
        var random = SeededRandom(seed: seed ^ 0xfa17)
        var oldest = Self.sequences(of: simulation)
        for round in 0..<Self.stormRounds {
            Self.disturb(&simulation, round: round, random: &random)
            simulation.run(for: .seconds(1))
            check(simulation, &oldest, "seed \(seed), round \(round)")
        }
        simulation.network.loss = 0
        simulation.network.groups = [:]
        let calm = simulation.run(for: .seconds(300)) { $0.isKnowledgeExact }
        #expect(calm != nil, "seed \(seed): views differ from the truth 300 rounds after the last fault")
        check(simulation, &oldest, "seed \(seed), at the end")
        if environment["FAULT_NODES"] != nil, let calm {
            print(
                "faults | \(nodeCount) nodes | seed \(seed) | rounds to the truth | \(calm / .seconds(1)) |"
            )
        }
    }

    /// One random fault or the end of one.
    private static func disturb(
        _ simulation: inout MembershipSimulation,
        round: Int,
        random: inout SeededRandom
    ) {
        let number = Int.random(in: 1..<nodeCount, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: simulation.network.loss = Double.random(in: 0..<0.3, using: &random)
        case 1:
            for node in 0..<nodeCount {
                simulation.network.groups[node] = Int.random(in: 0...1, using: &random)
            }
        case 2: simulation.network.groups = [:]
        case 3 where simulation.network.crashed.count < nodeCount / 4: simulation.crash(number)
        case 4:
            guard let crashed = simulation.network.crashed.min() else { return }
            simulation.restart(crashed, port: UInt16(5000 + round))
        default: simulation.network.loss = 0
        }
    }

    private static func sequences(of simulation: MembershipSimulation) -> [[PeerID: UInt64]] {
        simulation.nodes.map { node in
            Dictionary(uniqueKeysWithValues: node.members.map { ($0.peer, $0.record.sequence) })
        }
    }

    /// What holds in every round, whatever the network does.
    private func check(
        _ simulation: MembershipSimulation,
        _ oldest: inout [[PeerID: UInt64]],
        _ when: String
    ) {
        let real = Set(simulation.peers)
        let sequences = Self.sequences(of: simulation)
        for (number, node) in simulation.nodes.enumerated() where !simulation.network.crashed.contains(number)
        {
            let known = sequences[number]
            #expect(
                real.isSuperset(of: known.keys),
                "\(when): node \(number) knows somebody who is not there"
            )
            #expect(known[node.own] == nil, "\(when): node \(number) is its own member")
            #expect(node.counters.forged == 0 && node.counters.full == 0, "\(when): node \(number)")
            let isBehind = known.contains { peer, sequence in sequence < oldest[number][peer, default: 0] }
            // A node that was started anew knows nothing of what it knew.
            #expect(!isBehind || simulation.wasRestarted(number), "\(when): node \(number) went back")
            let newest = known.allSatisfy { peer, sequence in sequence <= simulation.sequence(of: peer) }
            #expect(newest, "\(when): node \(number) has a record that was not made")
        }
        oldest = sequences
    }
}

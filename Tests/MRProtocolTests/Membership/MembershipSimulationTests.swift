import Foundation
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

/// `SIM_NODES` and `SEED` set the size and the run; `make sim` uses 1,000 nodes.
private let nodeCount = ProcessInfo.processInfo.environment["SIM_NODES"].flatMap(Int.init) ?? 48
private let seed = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init) ?? 1

@Suite("Membership of a simulated cluster", .serialized)
struct MembershipSimulationTests {
    private static func formed(loss: Double = 0) throws -> (MembershipSimulation, rounds: Double) {
        var simulation = MembershipSimulation(nodeCount: nodeCount, seed: seed)
        simulation.network.loss = loss
        let time = try #require(
            simulation.run(for: .seconds(120)) { $0.isKnowledgeFull },
            "not full after 120 rounds; SEED=\(seed) SIM_NODES=\(nodeCount) make sim"
        )
        return (simulation, time / .seconds(1))
    }

    private static func report(_ what: String, _ value: some Any) {
        print("sim | \(nodeCount) nodes | \(what) | \(value) |")
    }

    @Test("everybody knows everybody from one bootstrap address, and the quiet cluster costs little")
    func fullKnowledge() throws {
        var (simulation, rounds) = try Self.formed()
        let joining = Double(simulation.sentByteCounts.reduce(0, +)) / Double(nodeCount)
        Self.report("rounds to full knowledge", rounds)
        Self.report("bytes a node sent until then", Int(joining))
        Self.report("most bytes one node sent until then", simulation.sentByteCounts.max() ?? 0)
        simulation.run(for: .seconds(30))
        simulation.resetTraffic()
        simulation.run(for: .seconds(20))
        let quiet = Double(simulation.sentByteCounts.reduce(0, +)) / Double(nodeCount) / 20
        Self.report("bytes a node and round, quiet", Int(quiet))
        Self.report(
            "messages a node and round, quiet",
            Double(simulation.messageCount) / Double(nodeCount) / 20
        )
        #expect(quiet < 2048)
        #expect(simulation.isKnowledgeFull)
    }

    @Test("a crashed node is suspected and declared dead by all, and found again at a new address")
    func crash() throws {
        var (simulation, _) = try Self.formed()
        simulation.run(for: .seconds(10))
        let victim = nodeCount / 2
        simulation.crash(victim)
        let suspected = try #require(
            simulation.run(for: .seconds(60)) { $0.count(seeing: victim, as: [.alive]) < nodeCount - 1 }
        )
        Self.report("rounds from crash to first suspicion", suspected / .seconds(1))
        let known = try #require(
            simulation.run(for: .seconds(60)) { $0.count(seeing: victim, as: [.alive]) == 0 }
        )
        Self.report("rounds from crash to suspicion at all nodes", (suspected + known) / .seconds(1))
        let dead = try #require(
            simulation.run(for: .seconds(120)) { $0.count(seeing: victim, as: [.alive, .suspect]) == 0 }
        )
        Self.report("rounds from crash to dead at all nodes", (suspected + known + dead) / .seconds(1))
        simulation.restart(victim, port: 4999)
        let back = try #require(
            simulation.run(for: .seconds(120)) { $0.count(seeing: victim, as: [.alive]) == nodeCount - 1 }
        )
        Self.report("rounds from restart at a new address to alive at all nodes", back / .seconds(1))
        let addresses = simulation.nodes[0].member(simulation.peers[victim])?.record.addresses
        #expect(addresses?.first?.description.hasSuffix("/tcp/4999") == true)
    }

    @Test("a fifth of all messages lost delays knowledge and makes nobody dead who lives")
    func loss() throws {
        var (simulation, rounds) = try Self.formed(loss: 0.2)
        Self.report("rounds to full knowledge, 20 % loss", rounds)
        var falselyDead = 0
        for _ in 0..<60 {
            simulation.run(for: .seconds(1))
            falselyDead = max(
                falselyDead,
                simulation.nodes.map { node in node.members.count { $0.state == .dead } }.max() ?? 0
            )
        }
        Self.report("most members falsely dead at a node in 60 rounds, 20 % loss", falselyDead)
        #expect(falselyDead <= nodeCount / 50)
    }

    @Test("two halves that were parted find each other again")
    func partition() throws {
        var (simulation, _) = try Self.formed()
        for number in 0..<nodeCount / 2 { simulation.network.groups[number] = 1 }
        let parted = try #require(
            simulation.run(for: .seconds(300)) {
                $0.nodes.allSatisfy { $0.livingCount <= (nodeCount + 1) / 2 }
            }
        )
        Self.report("rounds from partition until each half counts only itself", parted / .seconds(1))
        simulation.network.groups = [:]
        let healed = try #require(simulation.run(for: .seconds(300)) { $0.isKnowledgeFull })
        Self.report("rounds from the end of the partition to full knowledge", healed / .seconds(1))
    }

    @Test("the same seed gives the same run, another seed another")
    func repeatable() throws {
        let traffic = [seed, seed, seed + 1].map { seed in
            var simulation = MembershipSimulation(nodeCount: 12, seed: seed)
            simulation.run(for: .seconds(10))
            return simulation.sentByteCounts
        }
        #expect(traffic[0] == traffic[1])
        #expect(traffic[0] != traffic[2])
    }
}

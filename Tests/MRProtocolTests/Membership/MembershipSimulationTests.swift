import Foundation
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

/// `SIM_NODES` and `SEED` set the size and the run; `make sim` uses 1,000 nodes.
private let nodeCount = ProcessInfo.processInfo.environment["SIM_NODES"].flatMap(Int.init) ?? 24
private let seed = ProcessInfo.processInfo.environment["SEED"].flatMap(UInt64.init) ?? 1

/// Figures are printed when the simulation itself was asked for.
private let isReporting = ProcessInfo.processInfo.environment["SIM_NODES"] != nil

@Suite("Membership of a simulated cluster", .serialized)
struct MembershipSimulationTests {
    /// A cluster that just formed without faults, the same for all that begin with it, and how many rounds it took.
    private static let formed: (simulation: MembershipSimulation, rounds: Double?) = form(loss: 0)

    private static func form(loss: Double) -> (simulation: MembershipSimulation, rounds: Double?) {
        var simulation = MembershipSimulation(nodeCount: nodeCount, seed: seed)
        simulation.network.loss = loss
        let time = simulation.run(for: .seconds(120)) { $0.isKnowledgeFull }
        return (simulation, time.map { $0 / .seconds(1) })
    }

    private static func report(_ what: String, _ value: some Any) {
        if isReporting { print("sim | \(nodeCount) nodes | \(what) | \(value) |") }
    }

    private static func reportTraffic(_ simulation: MembershipSimulation, rounds: Int, _ when: String)
        -> Double
    {
        let share = Double(nodeCount * rounds)
        let bytes = Double(simulation.sentByteCounts.reduce(0, +)) / share
        report("bytes a node and round, \(when)", Int(bytes))
        report("messages a node and round, \(when)", Double(simulation.messageCount) / share)
        return bytes
    }

    @Test("everybody knows everybody from one bootstrap address, and the quiet cluster costs little")
    func fullKnowledge() throws {
        var (simulation, rounds) = Self.formed
        Self.report("rounds to full knowledge", try #require(rounds, "not full after 120; SEED=\(seed)"))
        Self.report("bytes a node sent until then", simulation.sentByteCounts.reduce(0, +) / nodeCount)
        Self.report("most bytes one node sent until then", simulation.sentByteCounts.max() ?? 0)
        simulation.run(for: .seconds(30))
        simulation.resetTraffic()
        simulation.run(for: .seconds(20))
        #expect(Self.reportTraffic(simulation, rounds: 20, "quiet") < 2048)
        #expect(simulation.isKnowledgeFull)
    }

    @Test("a crashed node is suspected and declared dead by all, and found again at a new address")
    func crash() throws {
        var simulation = Self.formed.simulation
        simulation.run(for: .seconds(10))
        let victim = nodeCount / 2
        simulation.crash(victim)
        simulation.resetTraffic()
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
        let rounds = (suspected + known + dead) / .seconds(1)
        Self.report("rounds from crash to dead at all nodes", rounds)
        _ = Self.reportTraffic(simulation, rounds: Int(rounds.rounded()), "from crash to dead")
        simulation.restart(victim, port: 4999)
        let back = try #require(
            simulation.run(for: .seconds(120)) { simulation in
                simulation.count(seeing: victim, as: [.alive]) == nodeCount - 1
                    && simulation.nodes[victim].livingCount == nodeCount - 1
            }
        )
        Self.report("rounds from restart at a new address to full knowledge", back / .seconds(1))
        let addresses = simulation.nodes[0].member(simulation.peers[victim])?.record.addresses
        #expect(addresses?.first?.description.hasSuffix("/tcp/4999") == true)
    }

    @Test(
        "lost messages delay knowledge and make hardly anybody dead who lives",
        // So many false suspicions as the second makes take a large cluster minutes of processor time.
        arguments: nodeCount > 200 ? [0.05] : [0.05, 0.2]
    )
    func loss(rate: Double) throws {
        let what = "\(Int(rate * 100)) % loss"
        var (simulation, rounds) = Self.form(loss: rate)
        Self.report("rounds to full knowledge, \(what)", try #require(rounds))
        simulation.resetTraffic()
        var falselyDead = 0
        for _ in 0..<30 {
            simulation.run(for: .seconds(1))
            let counts = simulation.nodes.map { node in node.members.count - node.livingCount }
            falselyDead = max(falselyDead, counts.max() ?? 0)
        }
        Self.report("most members falsely dead at a node in 30 rounds, \(what)", falselyDead)
        _ = Self.reportTraffic(simulation, rounds: 30, what)
        #expect(falselyDead <= nodeCount / 50 + 1)
    }

    @Test("two halves that were parted find each other again")
    func partition() throws {
        var simulation = Self.formed.simulation
        for number in 0..<nodeCount / 2 { simulation.network.groups[number] = 1 }
        let parted = try #require(
            simulation.run(for: .seconds(300)) {
                $0.nodes.allSatisfy { $0.livingCount <= (nodeCount + 1) / 2 }
            }
        )
        Self.report("rounds from partition until each half counts only itself", parted / .seconds(1))
        simulation.network.groups = [:]
        simulation.resetTraffic()
        let healed = try #require(simulation.run(for: .seconds(300)) { $0.isKnowledgeFull })
        Self.report("rounds from the end of the partition to full knowledge", healed / .seconds(1))
        let rounds = max(1, Int((healed / .seconds(1)).rounded()))
        _ = Self.reportTraffic(simulation, rounds: rounds, "from the end of the partition to full knowledge")
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

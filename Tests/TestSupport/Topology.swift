import Foundation

/// What the one redis-server of a test is to its daemons. The test itself reaches it by its Unix socket in each.
public enum Topology: String, CaseIterable, Sendable {
    /// One by itself.
    case alone
    /// The only master of a cluster: all slots are its own.
    case cluster
    /// Three masters of a cluster, each with a third of the slots.
    case threeMasters = "cluster3"
    /// A master that three Sentinels name.
    case sentinels

    /// Of every test that does not say: `TEST_TOPOLOGY=cluster`, `cluster3` or `sentinels`.
    public static let ofTests: Topology = {
        guard let name = ProcessInfo.processInfo.environment["TEST_TOPOLOGY"] else { return .alone }
        guard let topology = Topology(rawValue: name) else {
            fatalError("TEST_TOPOLOGY is one of \(allCases.map(\.rawValue))")
        }
        return topology
    }()

    public var isCluster: Bool { self == .cluster || self == .threeMasters }

    /// The file below conf with the rights that a daemon needs at such a server.
    var rights: String { isCluster ? "cluster-users.acl" : "redis-users.acl" }
}

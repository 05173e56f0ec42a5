internal import CLinux
internal import Glibc
internal import TokenCache

/// Who is at the other end of a Unix socket, as the kernel tells (`SO_PEERCRED`, `SO_PEERGROUPS`): the process that
/// connected, at the time it did.
struct Peer: Equatable, Sendable {
    var processID: Int32
    var userID: UInt32
    var groupID: UInt32
    /// Supplementary groups.
    var groups: [UInt32]

    /// Nil where the kernel does not tell: no Unix socket, or the connection is gone.
    /// - Parameter withGroups: false leaves the supplementary groups out, where no rule asks for them.
    init?(descriptor: Int32, withGroups: Bool) {
        var credentials = peer_credentials()
        var length = socklen_t(MemoryLayout<peer_credentials>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 else { return nil }
        self.init(
            processID: credentials.pid, userID: credentials.uid, groupID: credentials.gid,
            groups: withGroups ? Self.supplementaryGroups(of: descriptor) : [])
    }

    /// Somebody who came over TCP: the kernel does not tell who.
    static let overTCP = Peer(processID: 0, userID: .max, groupID: .max, groups: [])
    var isOverTCP: Bool { self == .overTCP }

    init(processID: Int32, userID: UInt32, groupID: UInt32, groups: [UInt32]) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
        self.groups = groups
    }

    /// `SO_PEERGROUPS`, which the C headers of Swift's Glibc module do not carry.
    private static let peerGroups: Int32 = 59
    /// The kernel's own bound, `NGROUPS_MAX`.
    private static let maxGroups = 65_536

    private static func supplementaryGroups(of descriptor: Int32) -> [UInt32] {
        var capacity = 32
        while capacity <= maxGroups {
            var groups = [gid_t](repeating: 0, count: capacity)
            var length = socklen_t(capacity * MemoryLayout<gid_t>.size)
            if getsockopt(descriptor, SOL_SOCKET, peerGroups, &groups, &length) == 0 {
                return Array(groups.prefix(Int(length) / MemoryLayout<gid_t>.size))
            }
            guard errno == ERANGE else { return [] }
            capacity = max(capacity * 2, Int(length) / MemoryLayout<gid_t>.size)
        }
        return []
    }
}

extension AuditPeer {
    /// Nil for who came over TCP.
    init?(_ peer: Peer) {
        guard !peer.isOverTCP else { return nil }
        self.init(userID: peer.userID, processID: peer.processID)
    }
}

internal import WireProtocol

/// Which peer may do what. Names were resolved to numbers before.
struct AccessRules: Equatable, Sendable {
    /// For whoever can open the socket and is not named.
    var everyone = Role.worker
    /// User id → role.
    var users: [UInt32: Role] = [:]
    /// Group id → role.
    var groups: [UInt32: Role] = [:]
    /// The daemon's own user; it and root are always admin.
    var ownUserID: UInt32

    /// Over TCP nobody is known, and everybody may ask what a validator may. A rule for the user decides; else the highest role among the peer's groups; else the default.
    func role(of peer: Peer) -> Role {
        if peer.isOverTCP { return .validator }
        if peer.userID == 0 || peer.userID == ownUserID { return .admin }
        if let role = users[peer.userID] { return role }
        return ([peer.groupID] + peer.groups).compactMap { groups[$0] }.max() ?? everyone
    }
}

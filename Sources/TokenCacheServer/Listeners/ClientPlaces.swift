internal import WireProtocol

/// How many clients there may be, how many there are, and of whom: whether one more gets a place.
///
/// Some places are kept back for admins, on top of the others: however many connections a process of a lesser role holds,
/// `status` and `reload` work. Belongs to the loop's thread.
final class ClientPlaces {
    /// Kept back for admins, and as many descriptors with them.
    static let forAdmins = 16

    /// Where a client was let in.
    enum Place: Equatable, Sendable {
        case ordinary
        /// One of those that are kept back, taken when the others were full.
        case admins
    }

    /// Why one is turned away.
    enum Refusal: Error, Equatable, Sendable {
        case full
        /// Its user has as many as one user may.
        case userIsFull
    }

    /// Ordinary places: `limits.max-clients`, or fewer where descriptors are short.
    var limit: Int
    /// Ordinary connections of one user that is no admin; 0 is no limit.
    var limitPerUser: Int
    private(set) var ordinary = 0
    private(set) var admins = 0
    /// Connections in whatever place.
    var taken: Int { ordinary + admins }
    /// User id → those of it.
    private var users: [UInt32: Int] = [:]

    init(limit: Int, perUser: Int) {
        self.limit = limit
        limitPerUser = perUser
    }

    func place(for role: Role, user: UInt32) throws(Refusal) -> Place {
        if role < .admin, limitPerUser > 0, users[user, default: 0] >= limitPerUser { throw .userIsFull }
        if ordinary < limit { return .ordinary }
        guard role >= .admin, admins < Self.forAdmins else { throw .full }
        return .admins
    }

    func take(_ place: Place, user: UInt32) {
        count(place, user, by: 1)
    }

    func free(_ place: Place, user: UInt32) {
        count(place, user, by: -1)
    }

    private func count(_ place: Place, _ user: UInt32, by step: Int) {
        switch place {
        case .ordinary: ordinary += step
        case .admins: admins += step
        }
        // Found once: hashing is a good part of what a connection costs.
        guard let index = users.index(forKey: user) else { return users[user] = step }
        users.values[index] += step
        if users.values[index] <= 0 { users.remove(at: index) }
    }
}

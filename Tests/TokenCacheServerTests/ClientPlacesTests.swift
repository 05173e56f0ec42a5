import Testing
import WireProtocol

@testable import TokenCacheServer

@Suite("Who gets a place")
struct ClientPlacesTests {
    @Test("ordinary places first, then for admins those that are kept back; one that is left is given again")
    func order() throws {
        let places = ClientPlaces(limit: 2, perUser: 0)
        for _ in 0..<2 {
            #expect(try places.place(for: .worker, user: 7) == .ordinary)
            places.take(.ordinary, user: 7)
        }
        #expect(throws: ClientPlaces.Refusal.full) { try places.place(for: .worker, user: 8) }
        for _ in 0..<ClientPlaces.forAdmins {
            #expect(try places.place(for: .admin, user: 0) == .admins)
            places.take(.admins, user: 0)
        }
        #expect(throws: ClientPlaces.Refusal.full) { try places.place(for: .admin, user: 0) }
        places.free(.ordinary, user: 7)
        // Who sits on a place for admins takes none of the others.
        #expect(try places.place(for: .validator, user: 8) == .ordinary)
        places.free(.admins, user: 0)
        places.take(.ordinary, user: 8)
        #expect(try places.place(for: .admin, user: 0) == .admins)
    }

    @Test("one user has as many as one user may; admins are not bound")
    func perUser() throws {
        let places = ClientPlaces(limit: 100, perUser: 3)
        for _ in 0..<3 { places.take(try places.place(for: .worker, user: 7), user: 7) }
        #expect(throws: ClientPlaces.Refusal.userIsFull) { try places.place(for: .worker, user: 7) }
        #expect(try places.place(for: .worker, user: 8) == .ordinary)
        for _ in 0..<9 { places.take(try places.place(for: .admin, user: 0), user: 0) }
        places.free(.ordinary, user: 7)
        #expect(try places.place(for: .worker, user: 7) == .ordinary)
    }
}

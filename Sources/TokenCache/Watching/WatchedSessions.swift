internal import Tokens
internal import UnixTime

/// Sessions of whose end somebody wants to be told, once: who wants that, what is known of them, and what has to be read of
/// Redis.
///
/// A value without clock or connections: its methods return what to do. Nothing is asked while nothing happens. A
/// session is read when it is first watched, when Redis tells of a change of it, when its known end has come, since
/// Redis tells of that only when it deletes the key, and when changes may have gone untold. No change is taken for the
/// echo of an access that this daemon recorded: Redis may merge another daemon's end of the session into it.
///
/// A read that has begun says nothing to those who came after it, nor of a change that was told meanwhile: it is
/// followed by one more, however many there were.
struct WatchedSessions {
    /// A connection.
    typealias Subscriber = UInt64

    enum Action: Equatable {
        /// The result is given to `found`, with this number, whatever it is.
        case read(SessionID, number: UInt64)
        case tell(Subscriber, SessionID, SessionFate)
    }

    /// Reads under way at a time.
    static let maxReads = 128
    /// Sessions whose end has come that one step of the clock looks at.
    static let maxDue = 4_096
    /// By how much a session may be gone before its known end and has expired even so: the clock is an estimate.
    static let clockMargin: Milliseconds = 1_000
    /// How long after a read without answer the next one is tried.
    static let retry: Milliseconds = 1_000

    /// Seconds of a round of the wheel. What ends later stays for another round.
    private static let round = 4_096
    /// The lists behind those of the wheel: what waits to be read, what the wheel has come to.
    private static let waiting = round
    private static let due = round + 1

    private struct Entry {
        var sid: SessionID
        /// Told of what happens from now on.
        var settled: [Subscriber] = []
        /// Came before the read under way began: it says where they stand.
        var reading: [Subscriber] = []
        /// Came since.
        var coming: [Subscriber] = []
        /// What the last read showed.
        var known: SessionSight.Living?
        /// Of the read under way; 0 where there is none.
        var number: UInt64 = 0
        /// Something happened since it began.
        var isOutdated = false
        /// The second of the wheel at which it is to be looked at.
        var second: Seconds = 0

        var isEmpty: Bool { settled.isEmpty && reading.isEmpty && coming.isEmpty }

        func contains(_ subscriber: Subscriber) -> Bool {
            settled.contains(subscriber) || reading.contains(subscriber) || coming.contains(subscriber)
        }

        mutating func remove(_ subscriber: Subscriber) {
            settled.removeAll { $0 == subscriber }
            reading.removeAll { $0 == subscriber }
            coming.removeAll { $0 == subscriber }
        }
    }

    private var entries: [Entry?] = []
    private var free: [PlaceLists.Place] = []
    private var places: [SessionID: PlaceLists.Place] = [:]
    private var lists = PlaceLists(lists: round + 2)
    private var reads = 0
    private var latest: UInt64 = 0
    /// The last second that the wheel has come to.
    private var second: Seconds = .min
    /// Whether Redis can be asked; while not, what is to be read waits.
    var mayRead = true

    var isEmpty: Bool { places.isEmpty }
    var count: Int { places.count }

    // MARK: Subscribers

    /// Somebody wants to be told of the session's end. It is read, so that they are told if it is over.
    mutating func watch(_ sid: SessionID, for subscriber: Subscriber) -> [Action] {
        if let place = places[sid] {
            guard let entry = entries[Int(place)], !entry.contains(subscriber) else { return [] }
            entries[Int(place)]?.coming.append(subscriber)
            look(at: place)
        } else {
            let place = add(Entry(sid: sid, coming: [subscriber]))
            places[sid] = place
            lists.append(place, to: Self.waiting)
        }
        return dispatch()
    }

    mutating func forget(_ sid: SessionID, for subscriber: Subscriber) {
        guard let place = places[sid] else { return }
        entries[Int(place)]?.remove(subscriber)
        if entries[Int(place)]?.isEmpty == true { remove(place) }
    }

    // MARK: What happens

    /// Redis told of a change of the session.
    mutating func changed(_ sid: SessionID) -> [Action] {
        guard let place = places[sid] else { return [] }
        look(at: place)
        return dispatch()
    }

    /// Changes may have gone untold, and are told from now on.
    mutating func changedAll() -> [Action] {
        for (place, entry) in entries.enumerated() where entry != nil { look(at: PlaceLists.Place(place)) }
        return dispatch()
    }

    /// This daemon wrote it: whoever watches the session now is told.
    mutating func happened(_ fate: SessionFate, to sid: SessionID) -> [Action] {
        guard let place = places[sid], let entry = entries[Int(place)] else { return [] }
        remove(place)
        return (entry.settled + entry.reading + entry.coming).map { .tell($0, sid, fate) }
    }

    /// What a read showed.
    /// - Parameter now: Redis's time.
    mutating func found(_ sight: SessionSight, of sid: SessionID, number: UInt64, now: UnixMilliseconds) -> [Action] {
        reads -= 1
        var told: [Action] = []
        if let place = places[sid], entries[Int(place)]?.number == number {
            told = take(sight, place, now: now)
        }
        return told + dispatch()
    }

    /// Time has passed: what ends now is to be read.
    /// - Returns: what to do, and whether there is more to look at without delay.
    mutating func tick(now: UnixMilliseconds) -> (actions: [Action], isBehind: Bool) {
        var budget = Self.maxDue
        while mayRead, budget > 0 {
            guard let place = lists.popFirst(Self.due) else {
                // A clock that was put forward passes over no session: a round has them all.
                second = max(second, now.seconds.sinceEpoch - Seconds(Self.round))
                guard second < now.seconds.sinceEpoch else { break }
                second += 1
                let list = Self.list(second)
                while let place = lists.popFirst(list) { lists.append(place, to: Self.due) }
                continue
            }
            budget -= 1
            guard let entry = entries[Int(place)] else { continue }
            if entry.second <= now.seconds.sinceEpoch {
                lists.append(place, to: Self.waiting)
            } else {
                lists.append(place, to: Self.list(entry.second))
            }
        }
        return (dispatch(), budget == 0)
    }

    // MARK: One session

    private mutating func take(_ sight: SessionSight, _ place: PlaceLists.Place, now: UnixMilliseconds) -> [Action] {
        guard var entry = entries[Int(place)] else { return [] }
        entry.number = 0
        let asked = entry.reading
        entry.reading = []
        var told: [Action] = []
        switch sight {
        case .failed:
            entry.coming = asked + entry.coming
            entries[Int(place)] = entry
            plan(place, at: now + Self.retry, now: now)
            return []
        case .living(let living):
            if let known = entry.known, let replacement = living.replacement(since: known) {
                told = entry.settled.map { .tell($0, entry.sid, .replaced(replacement)) }
                entry.settled = []
            }
            entry.settled += asked
            entry.known = living
        case .ended(let reason):
            told = (entry.settled + asked).map { .tell($0, entry.sid, .revoked(reason)) }
            entry.settled = []
        case .absent:
            let hasExpired = entry.known.map { $0.end - Self.clockMargin <= now } ?? false
            told = (entry.settled + asked).map { .tell($0, entry.sid, hasExpired ? .expired : .unknown) }
            entry.settled = []
            entry.known = nil
        }
        let isOutdated = entry.isOutdated || !entry.coming.isEmpty
        entry.isOutdated = false
        entries[Int(place)] = entry
        if entry.isEmpty {
            remove(place)
        } else if isOutdated {
            lists.append(place, to: Self.waiting)
        } else if let known = entry.known {
            plan(place, at: known.end, now: now)
        }
        return told
    }

    /// Has a session read, once more if it is being read.
    private mutating func look(at place: PlaceLists.Place) {
        guard let entry = entries[Int(place)] else { return }
        if entry.number != 0 {
            entries[Int(place)]?.isOutdated = true
        } else if !lists.contains(place, in: Self.waiting) {
            lists.append(place, to: Self.waiting)
        }
    }

    /// Has a session looked at in the first whole second from a time on.
    private mutating func plan(_ place: PlaceLists.Place, at time: UnixMilliseconds, now: UnixMilliseconds) {
        let next = (time.sinceEpoch - 1) / 1_000 + 1
        let planned = max(next, now.seconds.sinceEpoch + 1, second.addingSaturating(1))
        entries[Int(place)]?.second = planned
        lists.append(place, to: Self.list(planned))
    }

    private static func list(_ second: Seconds) -> Int { Int(truncatingIfNeeded: second) & (round - 1) }

    /// Begins as many reads as may be under way.
    private mutating func dispatch() -> [Action] {
        var actions: [Action] = []
        while mayRead, reads < Self.maxReads, let place = lists.popFirst(Self.waiting) {
            guard var entry = entries[Int(place)] else { continue }
            reads += 1
            latest += 1
            entry.number = latest
            entry.isOutdated = false
            entry.reading = entry.coming
            entry.coming = []
            entries[Int(place)] = entry
            actions.append(.read(entry.sid, number: latest))
        }
        return actions
    }

    private mutating func add(_ entry: Entry) -> PlaceLists.Place {
        if let place = free.popLast() {
            entries[Int(place)] = entry
            return place
        }
        entries.append(entry)
        lists.grow()
        return PlaceLists.Place(entries.count - 1)
    }

    private mutating func remove(_ place: PlaceLists.Place) {
        guard let entry = entries[Int(place)] else { return }
        lists.remove(place)
        places[entry.sid] = nil
        entries[Int(place)] = nil
        free.append(place)
    }
}

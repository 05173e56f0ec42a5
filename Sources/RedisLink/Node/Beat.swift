internal import EventLoop
internal import UnixTime

/// The proof that a server lives, may write and tells what changes: a small write, sent where the commands go, that comes
/// back on the feed, behind all changes before it. A value: calls, answers and what was told go in.
///
/// A beat has a number, Redis's time divided by 200 ms, and one key; all daemons before a server share it. So what comes
/// back may be another daemon's. A beat is proved once this daemon's own call of it was accepted, by the server that the
/// commands go to, and it was told. It is dated at the earliest moment at which its key could have been written: at the
/// own call where that wrote it, else by the estimate of Redis's clock, never later than the own call and than what was
/// told. A key that is told again proves nothing more.
struct Beat {
    /// One number lasts so long, by Redis's clock.
    static let slot: Milliseconds = 200
    /// How often it is called while requests come.
    static let interval = Duration.milliseconds(250)
    /// For how long after a request.
    static let activeSpan = Duration.seconds(5)
    /// How old the last proof may be.
    static let proofLimit = Duration.seconds(1)
    /// A beat that is older than its key lives, and some, is owed no more.
    static let overdueLimit = Duration.seconds(3)
    /// Begins the key behind the prefix of sessions: `~`, which is no hexadecimal digit.
    static let mark = UInt8(ascii: "~")
    /// Beats that are remembered: more than are under way within `proofLimit` and the life of their keys.
    static let capacity = 16

    private struct Mark {
        let number: Int64
        var calledAt: MonotonicInstant?
        var isAccepted = false
        /// The own call wrote the key.
        var isOwn = false
        var toldAt: MonotonicInstant?
    }

    /// Up to this moment every change was told, and the server could write then; nil before the first proof.
    private(set) var lastProof: MonotonicInstant?
    /// Why the server did not take the last beat that it answered.
    private(set) var refusal: RedisFault?
    /// By number.
    private var marks: [Mark] = []

    /// The number to call at a time by Redis's clock.
    static func number(at time: UnixMilliseconds) -> Int64 { time.sinceEpoch / slot }

    /// A beat is sent.
    mutating func called(_ number: Int64, at now: MonotonicInstant) {
        change(number) { $0.calledAt = min($0.calledAt ?? now, now) }
    }

    /// The own call was accepted: the server may write, and the key stands there.
    /// - Parameter isOwn: the call wrote it; else another one did before.
    mutating func accepted(_ number: Int64, isOwn: Bool, clock: RedisClock) {
        refusal = nil
        change(number) { mark in
            mark.isAccepted = true
            // What was told before this call is not what it wrote.
            if isOwn, let calledAt = mark.calledAt, mark.toldAt.map({ $0 >= calledAt }) ?? true { mark.isOwn = true }
        }
        prove(number, clock)
    }

    /// The server answered a call, and not by taking it. What was proved before it is not believed any more.
    mutating func refused(_ fault: RedisFault) {
        forgetProofs()
        refusal = fault
    }

    /// The feed told of it; all changes in the same message are taken in.
    mutating func told(_ number: Int64, at now: MonotonicInstant, clock: RedisClock) {
        // What is far from Redis's present was written by nobody of ours.
        guard let present = clock.time(at: now).map(Self.number), (present - 10...present + 10).contains(number)
        else { return }
        change(number) { $0.toldAt = min($0.toldAt ?? now, now) }
        prove(number, clock)
    }

    /// A sign of life that is its own proof: everything that happened before `moment` was told.
    mutating func proved(at moment: MonotonicInstant) {
        refusal = nil
        lastProof = max(lastProof ?? moment, moment)
    }

    /// The server has just said that it is a master, and is one that nobody else can change.
    mutating func roleConfirmed() { refusal = nil }

    /// It goes under another key from now on: what is under way proves nothing about that.
    mutating func keyChanged() { marks = [] }

    /// The connections are others than those that were proved. A refusal stands until the server takes a beat.
    mutating func forgetProofs() {
        marks = []
        lastProof = nil
    }

    /// Whether a beat that was accepted should have come back long ago.
    /// - Parameter armed: since when every change should be told.
    func isOverdue(since armed: MonotonicInstant, now: MonotonicInstant) -> Bool {
        let last = max(lastProof ?? armed, armed)
        return marks.contains { mark in
            guard mark.isAccepted, mark.toldAt == nil, let calledAt = mark.calledAt, calledAt > last else {
                return false
            }
            let age = calledAt.duration(to: now)
            // Of one from before a pause nothing can be said: another daemon may have written it before all was told.
            return age > Self.proofLimit && age <= Self.overdueLimit
        }
    }

    private mutating func prove(_ number: Int64, _ clock: RedisClock) {
        guard let mark = marks.first(where: { $0.number == number }), mark.isAccepted,
            let calledAt = mark.calledAt, let toldAt = mark.toldAt
        else { return }
        var date = min(calledAt, toldAt)
        if !mark.isOwn {
            let start = UnixMilliseconds(number.multipliedSaturating(by: Self.slot))
            guard let earliest = clock.earliestInstant(of: start) else { return }
            date = min(date, earliest)
        }
        lastProof = max(lastProof ?? date, date)
    }

    private mutating func change(_ number: Int64, _ body: (inout Mark) -> Void) {
        if let index = marks.firstIndex(where: { $0.number == number }) { return body(&marks[index]) }
        var mark = Mark(number: number)
        body(&mark)
        marks.insert(mark, at: marks.firstIndex { $0.number > number } ?? marks.endIndex)
        if marks.count > Self.capacity { marks.removeFirst() }
    }
}

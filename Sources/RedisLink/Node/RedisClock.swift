internal import EventLoop
internal import UnixTime

/// An estimate of Redis's wall clock, mapped on the boot-time clock: nobody's `date -s` on this host moves it.
///
/// A sample taken between sending and receiving bounds the difference of the two clocks from both sides; the
/// narrowest recent sample is kept; as it grows stale (drift), it gives way to wider ones. A sample that contradicts
/// what is known means that Redis's clock jumped, and is taken over at once.
struct RedisClock: Equatable {
    /// Two quartz clocks drift apart by less than this many microseconds in a second.
    static let driftPerSecond: Int64 = 200
    /// How old, in microseconds, a script's notion of now may be when its reply is read.
    static let observationSlack: Int64 = 2_000_000
    /// From 1970 to the year 5138: nothing else is believed.
    static let plausible = UnixMilliseconds(0)..<UnixMilliseconds(100_000_000_000_000)

    private struct Estimate: Equatable {
        /// Redis's microseconds minus boot-time microseconds.
        var offset: Int64
        var uncertainty: Int64
        var at: Int64
    }

    private var estimate: Estimate?

    /// Redis's time at `now`; nil before the first sample.
    func time(at now: MonotonicInstant) -> UnixMilliseconds? {
        guard let estimate else { return nil }
        return UnixMilliseconds((now.microseconds &+ estimate.offset) / 1000)
    }

    /// The earliest moment at which Redis's clock may have stood at `time`; nil before the first sample.
    func earliestInstant(of time: UnixMilliseconds) -> MonotonicInstant? {
        guard let estimate, RedisClock.plausible.contains(time) else { return nil }
        // A sample is taken every second; two are allowed for.
        let margin = estimate.uncertainty &+ 2 * RedisClock.driftPerSecond
        let earliest = time.sinceEpoch * 1000 &- estimate.offset &- margin
        let (nanoseconds, overflow) = earliest.multipliedReportingOverflow(by: 1000)
        return overflow ? nil : MonotonicInstant(nanoseconds: nanoseconds)
    }

    /// Takes in a reply to `TIME`.
    mutating func sample(serverMicroseconds: Int64, sentAt: MonotonicInstant, receivedAt: MonotonicInstant) {
        guard RedisClock.plausible.contains(UnixMilliseconds(serverMicroseconds / 1000)) else { return }
        let half = max(0, (receivedAt.microseconds - sentAt.microseconds) / 2)
        let middle = serverMicroseconds - receivedAt.microseconds + half
        let new = Estimate(offset: middle, uncertainty: half + 1, at: receivedAt.microseconds)
        guard let old = estimate else { return estimate = new }
        let known = old.uncertainty + drift(since: old, at: new.at)
        let distance = (new.offset - old.offset).magnitude
        if distance > UInt64(new.uncertainty + known) || new.uncertainty <= known { estimate = new }
    }

    /// Takes in the time that Redis gave a script, when its reply is read: the clock is not behind that, and not
    /// seconds ahead of it.
    mutating func observe(_ time: UnixMilliseconds, at now: MonotonicInstant) {
        guard RedisClock.plausible.contains(time) else { return }
        let least = time.sinceEpoch * 1000 - now.microseconds
        guard let old = estimate else {
            estimate = Estimate(offset: least, uncertainty: RedisClock.observationSlack, at: now.microseconds)
            return
        }
        let most = old.offset + old.uncertainty + drift(since: old, at: now.microseconds)
        if old.offset < least, least <= most {
            // Both are true: what is left between them is narrower than either. A script's reply is read soon after, so
            // the least is the better guess: behind a jump the middle is a second ahead.
            estimate = Estimate(offset: least, uncertainty: most - least + 1, at: now.microseconds)
        } else if old.offset < least || old.offset > least + 1000 + RedisClock.observationSlack {
            estimate = Estimate(offset: least, uncertainty: RedisClock.observationSlack, at: now.microseconds)
        }
    }

    /// How far the clocks may have drifted apart since an estimate was made, microseconds.
    private func drift(since old: Estimate, at microseconds: Int64) -> Int64 {
        max(0, microseconds - old.at) / 1_000_000 * RedisClock.driftPerSecond
    }
}

extension MonotonicInstant {
    fileprivate var microseconds: Int64 { nanoseconds / 1000 }
}

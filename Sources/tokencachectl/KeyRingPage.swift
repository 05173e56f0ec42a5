import TokenCrypto
import UnixTime

/// What `keyring` subcommands show of a ring: never a key.
struct KeyRingPage {
    let path: String
    let ring: KeyRing
    /// The key that was just made.
    let new: RingKey?
    /// Names of the keys that were just removed.
    var removed: [String]?
    /// The lifetime by which they were judged, and where it came from.
    var longest: (seconds: Seconds, source: String)?

    func show(asJSON: Bool, advice: String?) throws {
        let fingerprint: String
        do throws(CryptoError) { fingerprint = try ring.fingerprint } catch { throw Failure(.cryptography(error)) }
        let now = Layout.now
        let signing = ring.signingKey(at: now)
        if asJSON {
            var members: [(String, JSONText)] = [
                ("file", .string(path)), ("keys", .integer(Int64(ring.keys.count))),
                ("signing", signing.map { .string($0.kid) } ?? .null), ("fingerprint", .string(fingerprint)),
            ]
            if let new { members += [("kid", .string(new.kid)), ("active_from", .integer(new.activeFrom.sinceEpoch))] }
            if let removed { members.append(("removed", .array(removed.map { .string($0) }))) }
            if let longest { members.append(("longest", .integer(longest.seconds))) }
            return try Terminal.print(JSONText.object(members).text)
        }
        var rows = [("file", Layout.printable(path)), ("keys", "\(ring.keys.count)")]
        rows.append(("signing", signing?.kid ?? "none yet: \(reasonToWait(now))"))
        if let new, new.activeFrom > now, new != signing {
            rows.append(("new key", "\(new.kid), signs from \(start(of: new, now))"))
        }
        if let removed { rows.append(("removed", removed.isEmpty ? "nothing" : removed.joined(separator: ", "))) }
        if let longest {
            rows.append(("longest", "\(Layout.duration(seconds: longest.seconds)), \(longest.source)"))
        }
        rows.append(("fingerprint", fingerprint))
        try Terminal.print(Layout.page(rows.map { (label: $0.0, text: $0.1) }))
        if let advice, Terminal.isErrorATerminal { Terminal.complain("Now " + advice + ".") }
    }

    /// The first key may sign a little before its time: there is no other.
    private func reasonToWait(_ now: UnixSeconds) -> String {
        guard let first = ring.keys.first else { return "there is no key" }
        let earliest = Layout.duration(seconds: KeyRing.earliness)
        return "nothing can be sealed until \(earliest) before \(first.kid) is active, \(start(of: first, now))"
    }

    private func start(of key: RingKey, _ now: UnixSeconds) -> String {
        Layout.future(in: key.activeFrom - now, now: now)
    }
}

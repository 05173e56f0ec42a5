import Tokens

/// One run before it begins: its numbers, and what happens when. A scenario text is the same, written by hand or by a
/// failing seed: `set NAME NUMBER` lines, then a time in milliseconds and an event a line.
struct Setup: Sendable {
    var seed: UInt64 = 1
    var daemons = 2
    var browsers = 3
    /// What the policy and the caches of all daemons are made of; milliseconds unless the name says otherwise.
    var numbers = Setup.defaults
    var events: [PlannedEvent] = []
    /// Invariants that today's program does not keep in this run: `expect NAME` lines of a scenario.
    var expects: [String] = []

    static let defaults: [String: Int64] = [
        "rotation-after": 3_000, "overlap": 1_000, "replay-grace": 1_500, "idle": 6_000, "absolute": 20_000,
        "touch-interval": 500, "tombstone": 4_000, "serve-stale": 2_000, "guest-lifetime": 8_000,
        "guest-absolute": 30_000, "revoke-on-replay": 0, "cache-bytes": 65_536, "password": 0, "near-cache": 1,
        "recover": 0, "sentinels": 0, "cluster": 0, "lag": 1, "wait-replicas": 0,
        "moving": 0,
    ]

    func number(_ name: String) -> Int64 { numbers[name] ?? 0 }

    var policy: TokenPolicy {
        TokenPolicy(
            rotationAfter: number("rotation-after"), rotationOverlap: number("overlap"),
            onReplay: number("revoke-on-replay") == 1 ? .revoke : .reject,
            lostSuccessor: number("recover") == 1 ? .recover : .refuse, replayGrace: number("replay-grace"),
            idle: number("idle"), absolute: number("absolute"), touchInterval: number("touch-interval"),
            tombstone: number("tombstone"))
    }

    /// Nothing happens after it but what was begun.
    var end: SimulatedTime { (events.map(\.at).max() ?? 0) + .milliseconds(100) }
}

struct PlannedEvent: Equatable, Sendable {
    var at: SimulatedTime
    var words: [String]

    var text: String {
        let (whole, part) = (at / 1_000_000, at % 1_000_000 / 1_000)
        let digits = String(part)
        let fraction = part == 0 ? "" : "." + String(repeating: "0", count: 3 - digits.count) + digits
        return "\(whole)\(fraction) \(words.joined(separator: " "))"
    }
}

extension Setup {
    struct Unreadable: Error, CustomStringConvertible {
        let description: String
    }

    /// Reads a scenario: `#` begins a comment.
    init(scenario: String) throws {
        for line in scenario.split(separator: "\n") {
            let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
            guard let first = words.first else { continue }
            if first == "expect" {
                expects += words.dropFirst()
            } else if first == "set" {
                guard words.count == 3, let value = Int64(words[2]) else { throw Unreadable(description: String(line)) }
                switch words[1] {
                case "seed": seed = UInt64(bitPattern: value)
                case "daemons": daemons = Int(value)
                case "browsers": browsers = Int(value)
                default:
                    guard Setup.defaults[words[1]] != nil else { throw Unreadable(description: String(line)) }
                    numbers[words[1]] = value
                }
            } else {
                let parts = first.split(separator: ".")
                guard let whole = Int64(parts[0]), words.count > 1 else { throw Unreadable(description: String(line)) }
                var micros = whole * 1_000
                if parts.count == 2 {
                    guard parts[1].count == 3, let part = Int64(parts[1]) else {
                        throw Unreadable(description: String(line))
                    }
                    micros += part
                }
                events.append(PlannedEvent(at: .microseconds(micros), words: Array(words.dropFirst())))
            }
        }
    }

    /// The same as a scenario.
    var scenario: String {
        var lines = ["set seed \(seed)", "set daemons \(daemons)", "set browsers \(browsers)"]
        for name in numbers.keys.sorted() where numbers[name] != Setup.defaults[name] {
            lines.append("set \(name) \(number(name))")
        }
        lines += expects.map { "expect \($0)" }
        return (lines + events.map(\.text)).joined(separator: "\n") + "\n"
    }
}

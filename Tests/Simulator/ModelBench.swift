import EventLoop
import TestSupport
import UnixTime

@testable import RedisLink
@testable import TokenCache

/// The model and a real Redis side by side: the same commands go to both, at the same time of the same clock.
final class ModelBench {
    /// A limit that ends after all others of the test, ms: from when it counts, a real Redis and the model need not agree to
    /// the millisecond.
    static let idle: Int64 = 9_000_000

    private let process: RedisProcess
    private let agenda = Agenda()
    private let network: SimulatedNetwork
    private let loop: SimulatedLoop
    let model: ModelRedis
    private let began = ContinuousClock.now
    /// Redis's time when the model began, milliseconds.
    let start: Int64
    /// The same when the test began.
    private let origin: Int64
    private let socket: String

    init(seed: UInt64) throws {
        process = try RedisProcess()
        socket = process.socket
        let client = try RESPClient(path: socket)
        guard case .array(let parts) = try client.call("TIME"), let seconds = parts[0].text.flatMap({ Int64($0) }),
            let micros = parts[1].text.flatMap({ Int64($0) })
        else { throw HarnessFailure("no time") }
        start = seconds * 1_000 + micros / 1_000
        let passed = Self.nanoseconds(began.duration(to: .now)) / 1_000_000
        origin = start - passed
        model = ModelRedis(
            agenda: agenda, seed: seed, scripts: TokenService.scripts + [RedisNode.beatScript, ReplicaWait.script],
            clockOffset: origin - SimulatedLoop.epoch.sinceEpoch)
        let model = model
        network = SimulatedNetwork(agenda: agenda, seed: seed) { _, _ in model }
        loop = SimulatedLoop(agenda: agenda, bootOffset: 0)
    }

    private static func nanoseconds(_ duration: Duration) -> Int64 { duration.saturatedNanoseconds }

    func connect() throws -> Pair {
        let stream = network.maker(daemon: 0, role: .data, loop: loop).makeStream()
        let pair = Pair(real: try RESPClient(path: socket), stream: stream, bench: self)
        stream.delegate = pair
        stream.connect(to: .unix(path: ""), timeout: .seconds(1))
        settle()
        return pair
    }

    /// What the model has to do is done; its clock says what the real one says.
    func settle() {
        let now = Self.nanoseconds(began.duration(to: .now))
        agenda.run(until: max(now, agenda.now + .milliseconds(40)))
        let passed = Self.nanoseconds(began.duration(to: .now)) / 1_000_000
        model.jump(milliseconds: origin + passed - model.milliseconds)
    }

    /// Time passes, for both, until the clock says this.
    func pass(until milliseconds: Int64) async throws {
        let passed = Self.nanoseconds(began.duration(to: .now)) / 1_000_000
        try await Task.sleep(for: .milliseconds(max(0, milliseconds - origin - passed)))
        // What has run out goes within a tenth of a second.
        for _ in 0..<5 { settle() }
    }

    /// Two connections that are told the same.
    final class Pair: ByteStreamDelegate {
        let real: RESPClient
        private let stream: any OutgoingStream
        private unowned let bench: ModelBench
        private var received: [UInt8] = []

        init(real: RESPClient, stream: any OutgoingStream, bench: ModelBench) {
            self.real = real
            self.stream = stream
            self.bench = bench
        }

        func streamConnected() {}
        func streamReceived(_ bytes: UnsafeRawBufferPointer) { received += bytes }
        func streamClosed(_ reason: StreamCloseReason) {}

        /// Sends commands in one write.
        /// - Returns: what each answered, in one form, times left out: of the real one and of the model.
        func send(_ commands: [(real: [[UInt8]], model: [[UInt8]])], replies: Int? = nil) throws
            -> (real: [String], model: [String])
        {
            try real.sendRaw(commands.flatMap { RESPClient.encode($0.real) })
            let count = replies ?? commands.count
            let answers = try (0..<count).map { _ in Canonical.text(try real.readReply(), near: bench.start) }
            stream.write(commands.flatMap { RESPClient.encode($0.model) })
            bench.settle()
            return (answers, takeModel())
        }

        func call(_ words: String...) throws -> (real: [String], model: [String]) {
            let command = words.map { Array($0.utf8) }
            return try send([(command, command)])
        }

        func takeModel() -> [String] {
            defer { received = [] }
            return Canonical.replies(received).map { Canonical.text($0, near: bench.start) }
        }

        /// What was told out of turn until there is nothing more.
        func takeTold() throws -> (real: [String], model: [String]) {
            var told: [String] = []
            while try real.hasInput(within: .milliseconds(30)) {
                told.append(Canonical.text(try real.readReply(), near: bench.start))
            }
            return (told, takeModel())
        }
    }
}

extension RESPValue {
    fileprivate var isArray: Bool { if case .array = self { true } else { false } }
    fileprivate var isInteger: Bool { if case .integer = self { true } else { false } }
}

/// Replies in one form that can be compared.
enum Canonical {
    static func text(_ value: RESPValue, near start: Int64) -> String {
        func all(_ values: [RESPValue]) -> String { values.map { text($0, near: start) }.joined(separator: " ") }
        func time(_ text: String) -> String {
            if let number = Int64(text), abs(number - start) < 30_000 { return "<time>" }
            if let number = Int64(text), abs(number - start - ModelBench.idle) < 1_000_000 { return "<idle>" }
            // What was condemned, two minutes from then.
            if text.hasSuffix(".5"), let number = Double(text), abs(number - Double(start) - 120_000) < 30_000 {
                return "<condemned>"
            }
            return text
        }
        switch value {
        case .simple(let line): return "+\(line)"
        case .error(let line): return "-\(line.split(separator: " ").first ?? "")"
        case .integer(let number): return ":\(time(String(number)))"
        case .bulk(let bytes): return "$\(time(String(decoding: bytes, as: UTF8.self)))"
        case .verbatim: return "=text"
        case .null: return "_"
        // Which others of an index are told of is left to chance.
        case .array(let values) where values.count == 3 && values[0].text == "done" && values[2].isArray:
            return "[\(all(Array(values.prefix(2)))) others]"
        case .array(let values) where values.count == 4 && values[3].isArray && values[1].isInteger:
            guard case .array(let place) = values[3] else { return "?" }
            return "[\(all(Array(values.prefix(3)))) [\(all(Array(place.prefix(1)))) others]]"
        case .array(let values): return "[\(all(values))]"
        case .set(let values): return "~[\(all(values))]"
        case .push(let values): return ">[\(all(values))]"
        case .map(let entries): return "%[\(all(entries.flatMap { [$0.key, $0.value] }))]"
        case .boolean(let value): return "#\(value)"
        case .double(let text), .bigNumber(let text): return ",\(text)"
        }
    }

    /// Whole replies out of the model's bytes.
    static func replies(_ bytes: [UInt8]) -> [RESPValue] {
        var rest = bytes[...]
        var found: [RESPValue] = []
        while let value = next(&rest) { found.append(value) }
        return found
    }

    private static func next(_ rest: inout ArraySlice<UInt8>) -> RESPValue? {
        guard let end = rest.firstIndex(of: 13), let mark = rest.first else { return nil }
        let line = String(decoding: rest[rest.startIndex + 1..<end], as: UTF8.self)
        rest = rest[(end + 2)...]
        let count = Int(line) ?? 0
        func payload() -> [UInt8] {
            let payload = Array(rest.prefix(count))
            rest = rest.dropFirst(count + 2)
            return payload
        }
        func elements(_ count: Int) -> [RESPValue] { (0..<max(0, count)).compactMap { _ in next(&rest) } }
        switch mark {
        case UInt8(ascii: "+"): return .simple(line)
        case UInt8(ascii: "-"): return .error(line)
        case UInt8(ascii: ":"): return .integer(count)
        case UInt8(ascii: "$"): return count < 0 ? .null : .bulk(payload())
        case UInt8(ascii: "="): return .verbatim(Array(payload().dropFirst(4)))
        case UInt8(ascii: "*"): return .array(elements(count))
        case UInt8(ascii: ">"): return .push(elements(count))
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "%"):
            let flat = elements(count * 2)
            // The model's own map, as an array with a mark of its own kind.
            return .set(flat)
        default: return nil
        }
    }
}

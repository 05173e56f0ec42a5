import ArgumentParser
import Glibc
import TokenCrypto
import UnixTime

/// `keyring`: the file with the keys that seal guests, CSRF tokens and captchas.
struct KeyRingCommand: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "keyring",
        abstract: "Make and change the key ring of a site.",
        discussion: """
            The key ring seals guests, CSRF tokens, captchas and bindings. It is the same file on every host of a site; \
            the daemon reads it at start and at SIGHUP. Keys are never shown.
            """,
        subcommands: [KeyRingInit.self, KeyRingRotate.self, KeyRingList.self, KeyRingCheck.self, KeyRingPrune.self])
}

/// Which file.
struct KeyRingOptions: ParsableArguments {
    static let standardPath = "/etc/tokencached/keyring.json"

    @Option(help: ArgumentHelp("The key ring (default: \(standardPath)).", valueName: "path"))
    var file: String?

    var path: String { file ?? Self.standardPath }

    func load() throws -> KeyRing {
        do throws(KeyRingError) {
            return try KeyRingFile.load(path: path, isCredential: false, byAdministrator: geteuid() == 0)
        } catch {
            throw Failure(error, path: path)
        }
    }

    func replace(by ring: KeyRing) throws {
        do throws(KeyRingError) {
            try KeyRingFile.write(ring, path: path, mustBeNew: false)
        } catch {
            throw Failure(error, path: path)
        }
    }
}

/// `keyring init`: the first key.
struct KeyRingInit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a key ring with one key, which signs at once. Replaces no file.")

    @Argument(help: "The file, the same as --file.")
    var path: String?

    @Flag(help: "Where there is a file already, check it and leave it as it is; for what runs at every start.")
    var ifMissing = false

    @OptionGroup var ring: KeyRingOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        var options = ring
        if let path {
            guard ring.file == nil else { throw Failure(status: .usage, message: "give the file once, not twice") }
            options.file = path
        }
        let now = Layout.now
        let key = try makeKey(now: now, activeFrom: now)
        let made: KeyRing
        do throws(KeyRingError) { made = try KeyRing(keys: [key]) } catch { throw Failure(error, path: options.path) }
        do throws(KeyRingError) {
            try KeyRingFile.write(made, path: options.path, mustBeNew: true)
        } catch {
            guard ifMissing, case .exists = error else { throw Failure(error, path: options.path) }
            return try KeyRingPage(path: options.path, ring: options.load(), new: nil).show(
                asJSON: global.json, advice: nil)
        }
        try KeyRingPage(path: options.path, ring: made, new: key).show(
            asJSON: global.json, advice: "copy it to every host of the site, and tell the daemons: SIGHUP")
    }
}

/// `keyring rotate`: a key that signs later.
struct KeyRingRotate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Add a key that signs from a moment in the future.",
        discussion: """
            Until then there is time to copy the file to every host of the site and to reload the daemons there: a host \
            that does not know the key refuses what the others seal with it.
            """)

    @Option(
        name: .customLong("in"),
        help: ArgumentHelp("When the key begins to sign, from now; 0 is at once.", valueName: "duration"))
    var delay = DurationArgument(text: "24h", duration: .seconds(86_400))

    @OptionGroup var ring: KeyRingOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let now = Layout.now
        let start = now + delay.duration.components.seconds
        guard start <= RingKey.times.upperBound else {
            throw Failure(status: .usage, message: "--in is too far away")
        }
        let old = try ring.load()
        // Of two keys of one second the older would go on signing.
        let newest = old.keys.map(\.activeFrom).filter { $0 <= start }.max() ?? .earliest
        let key = try makeKey(now: now, activeFrom: min(max(start, newest + 1), RingKey.times.upperBound))
        let new: KeyRing
        do throws(KeyRingError) { new = try old.adding(key) } catch { throw Failure(error, path: ring.path) }
        try ring.replace(by: new)
        try KeyRingPage(path: ring.path, ring: new, new: key).show(
            asJSON: global.json,
            advice: "copy it to every host of the site, and tell the daemons (SIGHUP), before the key signs: "
                + "`tokencachectl keyring check` must show the same fingerprint everywhere")
    }
}

/// `keyring list`: the keys, without their secrets.
struct KeyRingList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the keys: name, times, and what each does now.")

    @OptionGroup var ring: KeyRingOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let keys = try ring.load()
        let now = Layout.now
        let states = keys.keys.map { KeyState(of: $0, in: keys, now: now) }
        if global.json {
            let rows = zip(keys.keys, states).map { key, state in
                JSONText.object([
                    ("kid", .string(key.kid)), ("created", .integer(key.created.sinceEpoch)),
                    ("active_from", .integer(key.activeFrom.sinceEpoch)), ("state", .string(state.rawValue)),
                ])
            }
            return try Terminal.print(JSONText.array(rows).text)
        }
        try Terminal.print(
            "\(Layout.printable(ring.path))\n"
                + Layout.table(
                    heading: ["KID", "CREATED", "ACTIVE_FROM", "STATE"],
                    rows: zip(keys.keys, states).map { key, state in
                        [key.kid, Layout.localTime(key.created), Layout.localTime(key.activeFrom), state.rawValue]
                    }))
    }
}

/// `keyring check`: whether a daemon would take the file, and a fingerprint to compare between hosts.
struct KeyRingCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check the file as a daemon would, and show its fingerprint, to compare between hosts.",
        discussion: """
            Exit status 0 if the ring is good and a key signs, 1 if no key signs yet, 78 if it is not good. Where there is \
            no other, a key signs from two minutes before it is active: clocks differ.
            """)

    @OptionGroup var ring: KeyRingOptions
    @OptionGroup var global: GlobalOptions

    func run() throws {
        let keys = try ring.load()
        try KeyRingPage(path: ring.path, ring: keys, new: nil).show(asJSON: global.json, advice: nil)
        if keys.signingKey(at: Layout.now) == nil { throw Outcome(status: .notAccepted) }
    }
}

/// What a key does now.
enum KeyState: String {
    case signs
    case verifies
    /// It verifies, and its time to sign has not come.
    case waits

    init(of key: RingKey, in ring: KeyRing, now: UnixSeconds) {
        if ring.signingKey(at: now) == key {
            self = .signs
        } else {
            self = key.activeFrom > now ? .waits : .verifies
        }
    }
}

/// A new key of this program's own randomness.
func makeKey(now: UnixSeconds, activeFrom: UnixSeconds) throws -> RingKey {
    var random = SystemRandom()
    do throws(KeyRingError) {
        return try RingKey.make(created: now, activeFrom: activeFrom, random: &random)
    } catch {
        throw Failure(error)
    }
}

extension Failure {
    /// What a key ring that cannot be used means to the person or script that named it.
    /// - Parameter path: of the ring; nil where the fault is not about a file.
    init(_ error: KeyRingError, path: String? = nil) {
        let text = Layout.printable(path.map { error.description(of: $0) } ?? error.description)
        switch error {
        case .missing:
            self.init(status: .other, message: "\(text): `tokencachectl keyring init` makes one, --file names another")
        case .exists:
            self.init(status: .other, message: "\(text): `tokencachectl keyring rotate` adds a key to a ring")
        case .tooManyKeys:
            self.init(
                status: .other, message: "\(text): `tokencachectl keyring prune` removes what is no longer needed")
        case .system(_, _, "Permission denied"):
            self.init(status: .other, message: "\(text): run it as the ring's owner, or as root")
        case .system, .cryptography:
            self.init(status: .other, message: text)
        case .key, .noKeys, .tooLong, .malformed, .notRegular, .foreign, .exposed:
            self.init(status: .badConfiguration, message: text)
        }
    }
}

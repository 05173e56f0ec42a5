internal import EventLoop
internal import Logging
internal import RedisLink

/// The password for Redis that a program writes: `redis.password-command`.
///
/// Run at the start, whenever Redis refuses the password, and before it ages; the loop goes on meanwhile. A run that gives
/// nothing leaves the password before it in use. Belongs to the loop's thread.
final class PasswordCommand {
    /// What a program may write. As much as Redis reads of somebody who has not authenticated yet.
    static let maxBytes = 16 << 10
    static let timeLimit = Duration.seconds(10)

    /// Called when the password has become another one, or one at all.
    var onChange: () -> Void = {}
    /// For new connections.
    private(set) var password: Result<RedisPassword, RedisFault>
    /// Why the last run gave none; nil where it did.
    private(set) var fault: RedisFault?

    private let loop: EventLoop
    private let words: [String]
    private let environment: [String: String]
    private let logger: Logger
    private var schedule: PasswordSchedule
    private var timer: LoopTimer?
    private var run: ProgramRun?
    /// Whoever waits for the end of the first run.
    private var onFirst: (() -> Void)?

    /// - Parameters:
    ///   - command: as in the configuration.
    ///   - lifetime: how long a password is good; zero: nobody says.
    ///   - environment: the daemon's; what only the daemon means by it is left out.
    init(
        loop: EventLoop, command: String, lifetime: Duration, environment: [String: String], logger: Logger
    ) {
        self.loop = loop
        words = Self.words(of: command)
        schedule = PasswordSchedule(lifetime: lifetime)
        self.environment = environment.filter { name, _ in !Self.isOfDaemon(name) }
        self.logger = logger
        password = .failure(Self.fault("it has not ended yet"))
        timer = loop.makeTimer { [unowned self] in begin() }
    }

    /// The program and its arguments. There is no shell, and so no quoting.
    static func words(of command: String) -> [String] { command.split(separator: " ").map(String.init) }

    /// Settings, which may be secret, and what systemd says to the daemon alone.
    private static func isOfDaemon(_ name: String) -> Bool {
        ["TOKENCACHED_", "LISTEN_", "WATCHDOG_"].contains { name.hasPrefix($0) } || name == "NOTIFY_SOCKET"
    }

    /// What is answered while the first run is under way; nil when it has ended.
    var firstRunFault: RedisFault? {
        onFirst == nil ? nil : RedisFault(.unreachable, KnownFault.noPasswordGiven.text + ": it has not ended yet")
    }

    /// Runs it for the first time.
    /// - Parameter ended: called when that run has ended, with a password or without.
    func start(_ ended: @escaping () -> Void) {
        onFirst = ended
        begin()
    }

    /// Ends a run that is under way, and begins no other one.
    func stop() {
        timer?.cancel()
        run?.cancel()
        run = nil
        onFirst = nil
    }

    /// Redis refuses user or password.
    func refused() {
        guard run == nil, case .success = password else { return }
        schedule.refused(at: loop.now)
        arm()
    }

    /// Redis took the password.
    func accepted() { schedule.accepted() }

    private func begin() {
        guard run == nil else { return }
        schedule.began()
        run = ProgramRun(
            loop: loop, words: words, environment: environment, timeLimit: Self.timeLimit, maxBytes: Self.maxBytes
        ) { [weak self] in self?.ended($0) }
    }

    private func ended(_ result: Result<[UInt8], ProgramFault>) {
        run = nil
        let outcome = Self.password(in: result)
        switch outcome {
        case .success(let new): schedule.ended(isNew: took(new), at: loop.now)
        case .failure(let fault):
            schedule.failed(at: loop.now)
            self.fault = fault
            if case .failure = password { password = outcome }
            logger.error("\(fault)", metadata: ["program": "\(words.first ?? "")", "remedy": "\(fault.remedy)"])
        }
        arm()
        let first = onFirst
        onFirst = nil
        first?()
    }

    /// - Returns: whether it is another one.
    private func took(_ new: RedisPassword) -> Bool {
        fault = nil
        let before = password
        password = .success(new)
        guard before != password else { return false }
        logger.info("redis.password-command gave a new password")
        onChange()
        return true
    }

    /// The first line of what it wrote.
    private static func password(in result: Result<[UInt8], ProgramFault>) -> Result<RedisPassword, RedisFault> {
        switch result {
        case .failure(let why): return .failure(fault("\(why)"))
        case .success(let output):
            let line = output.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
            return line.isEmpty ? .failure(fault("its first line is empty")) : .success(RedisPassword(Array(line)))
        }
    }

    private static func fault(_ why: String) -> RedisFault {
        RedisFault(.credentials, KnownFault.noPasswordGiven.text + ": \(why)")
    }

    private func arm() {
        guard let due = schedule.due else { return }
        timer?.start(after: loop.now.duration(to: due))
    }
}

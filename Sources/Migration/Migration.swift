public import EventLoop
internal import RedisLink
internal import TokenCache
public import TokenCacheServer
internal import UnixTime

/// Carries everything of a site from one Redis to another while its daemons go on: everything is copied, then what is
/// changed meanwhile, until little is left; then the daemons lose their rights to write at the source, the rest is
/// carried, and both sides are compared. Every step may be done again.
///
/// Belongs to its loop's thread, outside of the loop's turns.
public final class Migration {
    public struct Options: Sendable {
        /// The ACL user that the daemons are at the source, who loses its rights; nil: the embedded server's.
        public var fenceUser: String?
        /// The operator has stopped the daemons, or has taken their rights.
        public var isFencedByHand = false
        /// The target may have keys: those of a run that was ended before.
        public var resumes = false
        /// Nothing is written anywhere.
        public var isDryRun = false

        public init() {}
    }

    public enum Notice {
        /// A step was done.
        case done(_ step: String, _ text: String)
        /// How far it is, for a line that is written over.
        case progress(String)
    }

    /// How far it came: what holds if it ends here.
    public enum Stage: Sendable {
        /// Nothing was changed anywhere.
        case looking
        /// The target has a part.
        case copying
        /// And the source cannot be written to.
        case fenced
        /// All is at the target, and only there.
        case moved
    }

    public private(set) var stage = Stage.looking
    /// What is known by now.
    public private(set) var report = MigrationReport()

    private let source: MigrationSide
    private let target: MigrationSide
    private let options: Options
    private let fence: Fence?
    private let changes: ChangeList
    private let pump: Pump
    private let tell: (Notice) -> Void

    /// So few changes that are left are carried while the daemons wait.
    private static let few = 500
    /// Rounds over what changes, of a site that changes more than can be carried.
    private static let rounds = 20
    /// How long the source is listened to for somebody who still writes, where Redis itself was not asked for a fence.
    private static let listening = Duration.seconds(3)

    /// - Throws: what a file of certificates is wrong for, or a ``MigrationFault``.
    public init(
        from: Settings, to: Settings, options: Options, loop: EventLoop, environment: [String: String],
        tell: @escaping (Notice) -> Void
    ) throws {
        self.options = options
        self.tell = tell
        pump = Pump(loop: loop)
        source = MigrationSide(
            label: "source", place: try RedisPlace(from, for: .source, loop: loop, environment: environment), pump: pump
        )
        target = MigrationSide(
            label: "target",
            place: try RedisPlace(
                to, for: .target, scripts: [MigrationSide.script], loop: loop, environment: environment), pump: pump)
        changes = ChangeList(prefix: source.place.prefix)
        let user = options.fenceUser ?? (source.place.isEmbedded ? "default" : nil)
        fence = options.isFencedByHand ? nil : user.map { [source] in Fence(user: $0, side: source) }
        (report.source, report.target) = (source.place.name, target.place.name)
        if source.place.isEmbedded { report.keyRingFile = source.place.keyRingFile }
        let router = source.place.router
        router.onInvalidation = { [changes] in changes.told($0) }
        router.onGap = { [changes] _ in changes.incomplete() }
    }

    /// Does all of it.
    public func run() throws(MigrationFault) {
        defer {
            source.place.stop()
            target.place.stop()
        }
        try look()
        if options.isDryRun { return try count() }
        stage = .copying
        try copy()
        let since = try raiseFence()
        try carryRest(since: since)
        stage = .moved
        try fence?.close()
        report.fenced = since.instant.duration(to: .now())
    }

    // MARK: Steps

    private func look() throws(MigrationFault) {
        guard source.place.prefix == target.place.prefix else {
            throw .refused("redis.prefix is not the same at both: --prefix says it for both")
        }
        guard fence != nil || options.isFencedByHand || options.isDryRun else {
            throw .refused(
                "which ACL user are the daemons at the source? --fence-user NAME takes its rights to write when all is "
                    + "copied; or say --fenced when you have done that yourself, or have stopped all daemons")
        }
        try target.connect()
        let remembered = try fence.flatMap { fence throws(MigrationFault) in try target.remembered(of: fence.user) }
        do throws(MigrationFault) { try source.connect() } catch {
            guard let remembered, case .server(let text) = error else { throw error }
            throw .server("\(text); it was fenced by a move before. To undo: \(Self.text(remembered))")
        }
        if try isSameServer() { throw .refused("source and target are the same Redis") }
        let living = try target.livingDaemons()
        guard living.isEmpty else {
            throw .refused(
                "daemons are before the target already (\(living.map(\.name).joined(separator: ", "))): switched one by one "
                    + "they would end and make sessions that the others do not know. Stop them, and wait three minutes")
        }
        let isFilled = try target.hasKeys()
        guard !isFilled || options.resumes || options.isDryRun else {
            throw .refused(
                "the target has sessions under this prefix already: --resume goes on with a move that was ended before, and "
                    + "takes away what the source has not")
        }
        report.daemons = try source.livingDaemons().map(\.name)
        if let fence {
            report.fencedUser = fence.user
            report.undo = try fence.undoing()
            // What its rights are is not what they were.
            if try fence.stands() { report.undo = remembered ?? [] }
        }
        let isTold = try source.awaitFeed()
        if !isTold, !options.isFencedByHand, !options.isDryRun {
            throw .refused(
                "the source does not tell of changes (\(source.place.router.nearCacheFault ?? "CLIENT TRACKING")): stop all "
                    + "daemons, and say --fenced")
        }
        let servers = source.servers.count
        tell(
            .done("source", "\(source.place.name)\(servers > 1 ? ", \(servers) servers" : ""); daemons: \(daemonList)"))
        tell(.done("target", "\(target.place.name)\(isFilled ? ", which has keys already" : ", empty")"))
    }

    private var daemonList: String { report.daemons.isEmpty ? "none seen" : report.daemons.joined(separator: ", ") }

    private func isSameServer() throws(MigrationFault) -> Bool {
        let runs = Set(source.servers.compactMap(\.serverInfo.runID))
        return target.servers.contains { $0.serverInfo.runID.map(runs.contains) ?? false }
            && source.servers.first?.endpoint.login.database == target.servers.first?.endpoint.login.database
    }

    /// For a dry run.
    private func count() throws(MigrationFault) {
        var counts: [StoredKey.Kind: Int64] = [:]
        try source.walk { keys throws(MigrationFault) in for key in keys { counts[key.kind, default: 0] += 1 } }
        report.keys = counts.rows
    }

    private func copy() throws(MigrationFault) {
        let start = MonotonicInstant.now()
        var carried = 0
        for _ in 0..<Self.rounds {
            if changes.isIncomplete {
                changes.beginWalk()
                try source.walk { keys throws(MigrationFault) in
                    try carry(keys)
                    carried += keys.count
                    tell(.progress("\(carried) keys copied, \(changes.count) changed meanwhile"))
                }
            } else {
                carried += try carryChanges()
            }
            if !changes.isIncomplete, changes.count < Self.few { break }
        }
        tell(.done("copied", "\(carried) keys in \(Self.seconds(since: start))"))
    }

    /// - Returns: when it was raised, here and by the source's clock.
    private func raiseFence() throws(MigrationFault) -> (instant: MonotonicInstant, time: Int64) {
        let instant = MonotonicInstant.now()
        stage = .fenced
        if let fence {
            if !report.undo.isEmpty { try target.remember(report.undo, of: fence.user) }
            try fence.raise()
            guard try fence.stands() else {
                throw .refused(
                    "\(fence.user) may still write at the source, by a selector or a rule of its own: take its rights "
                        + "yourself, and go on with --resume --fenced. To undo: \(Self.text(report.undo))")
            }
            tell(
                .done(
                    "fenced",
                    "\(fence.user) cannot write at the source any more. To undo: \(Self.text(report.undo))"
                ))
        }
        return (instant, try source.time())
    }

    private func carryRest(since: (instant: MonotonicInstant, time: Int64)) throws(MigrationFault) {
        // What was written before is told by then.
        try pump.pause(.milliseconds(300))
        var carried = 0
        for _ in 0..<Self.rounds where changes.count > 0 { carried += try carryChanges() }
        var comparison = try Comparison()
        for round in 0... {
            changes.beginWalk()
            comparison = try Comparison()
            try compare(&comparison)
            if !changes.isIncomplete { break }
            guard round < Self.rounds else {
                throw .refused("the source has lost what it told, again and again: \(Self.again)")
            }
        }
        if fence == nil, since.instant.duration(to: .now()) < Self.listening { try pump.pause(Self.listening) }
        try proveSilence(since: since.time)
        guard comparison.isEqual else { throw .refused("source and target differ: start again with --resume") }
        (report.keys, report.digest) = (comparison.rows, comparison.digest)
        tell(
            .done(
                "compared",
                "\(report.total) keys, none differs (\(carried + Int(clamping: comparison.repaired)) came last)"))
    }

    /// Whoever writes at the source now would not be found at the target.
    private func proveSilence(since: Int64) throws(MigrationFault) {
        if let fence, !(try fence.stands()) {
            throw .refused("\(fence.user) may write at the source again: who did that? \(Self.again)")
        }
        let names = changes.take()
        let keys = names.compactMap { StoredKey($0, prefix: source.place.prefix) }
        let isMarked = names.contains(StoredKey.marks(prefix: source.place.prefix))
        var isWritten = changes.lastBeat > since + 400 || isMarked
        for part in keys.batches where !isWritten {
            let now = try source.read(part)
            let copies = try target.read(part)
            // What ended by itself is told, too.
            isWritten = zip(now, copies).contains { now, copy in now != nil && now?.parts != copy?.parts }
        }
        guard !isWritten else {
            throw .refused(
                "somebody still writes at the source: a daemon that is another user there, or was not stopped. Find it "
                    + "(CLIENT LIST there; \(daemonList)), then \(Self.again)")
        }
        let living = try target.livingDaemons()
        guard living.isEmpty else {
            throw .refused(
                "daemons went to the target before all was there: \(living.map(\.name).joined(separator: ", ")). "
                    + "Stop them, wait three minutes, then \(Self.again)")
        }
    }

    private static let again = "go on with --resume"

    /// Commands, for somebody who reads them.
    private static func text(_ undo: [String]) -> String {
        undo.isEmpty ? "its rights were taken before" : undo.map { "redis-cli \($0)" }.joined(separator: "; ")
    }

    // MARK: Keys

    private func carry(_ keys: [StoredKey]) throws(MigrationFault) {
        let readAt = MonotonicInstant.now()
        let contents = try source.read(keys)
        try target.write(keys, contents, readAt: readAt)
    }

    /// - Returns: how many keys were carried.
    private func carryChanges() throws(MigrationFault) -> Int {
        let keys = changes.take().compactMap { StoredKey($0, prefix: source.place.prefix) }
        for part in keys.batches { try carry(part) }
        return keys.count
    }

    /// Compares all keys; what differs is carried once more, and what the target alone has is taken away.
    private func compare(_ comparison: inout Comparison) throws(MigrationFault) {
        var result = comparison
        var seen = 0
        try source.walk { keys throws(MigrationFault) in
            try compare(keys, &result)
            seen += keys.count
            tell(.progress("\(seen) keys compared"))
        }
        try target.walk { keys throws(MigrationFault) in
            let readAt = MonotonicInstant.now()
            let contents = try source.read(keys)
            let strangers = zip(keys, contents).filter { $1 == nil }.map(\.0)
            try target.write(strangers, strangers.map { _ in nil }, readAt: readAt)
            result.strangers += Int64(strangers.count)
        }
        comparison = result
    }

    private func compare(_ keys: [StoredKey], _ comparison: inout Comparison) throws(MigrationFault) {
        var open = keys
        for attempt in 0..<4 {
            let readAt = MonotonicInstant.now()
            let originals = try source.read(open)
            let later = Milliseconds(readAt.duration(to: .now()) / .milliseconds(1))
            let copies = try target.read(open)
            var different: [(StoredKey, KeyContents?)] = []
            for (key, (original, copy)) in zip(open, zip(originals, copies)) {
                switch (original, copy) {
                case (let original?, let copy?) where original.isSame(as: copy, later: later):
                    try comparison.take(key, source: original, target: copy)
                case (nil, nil): break
                default: different.append((key, original))
                }
            }
            if different.isEmpty { return }
            guard attempt < 3 else { break }
            comparison.repaired += Int64(different.count)
            try target.write(different.map(\.0), different.map(\.1), readAt: readAt)
            open = different.map(\.0)
        }
        throw .refused(
            "\(open.count) keys differ however often they are copied: does somebody write? Then \(Self.again)")
    }

    private static func seconds(since start: MonotonicInstant) -> String {
        let tenths = Int(start.duration(to: .now()) / .milliseconds(100))
        return "\(tenths / 10).\(tenths % 10) s"
    }
}

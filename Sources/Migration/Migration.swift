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
        /// It waits until all daemons that were before the source are before the target.
        public var waits = false

        public init() {}
    }

    public enum Notice {
        /// A step was done.
        case done(_ step: String, _ text: String)
        /// All is at the target: it is the operator's turn.
        case moved(MigrationReport)
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

    public internal(set) var stage = Stage.looking
    /// What is known by now.
    public internal(set) var report = MigrationReport()

    let source: MigrationSide
    let target: MigrationSide
    let options: Options
    let fence: Fence?
    let changes: ChangeList
    let pump: Pump
    let tell: (Notice) -> Void
    /// What the marks of moves are called at the source, and at the target, where one away from it left them.
    var sourceMarks: [[UInt8]] = []
    private(set) var targetMarks: [[UInt8]] = []

    /// So few changes that are left are carried while the daemons wait.
    static let few = 500
    /// Rounds over what changes, of a site that changes more than can be carried.
    static let rounds = 20
    /// How long the source is listened to for somebody who still writes, where Redis itself was not asked for a fence.
    static let listening = Duration.seconds(3)
    /// How long the daemons are waited for.
    static let patience = Duration.seconds(3_600)

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
        try settle()
        report.fenced = since.instant.duration(to: .now())
        tell(.moved(report))
        if options.waits { try awaitDaemons(since: since.instant) }
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
            (report.undo, report.unmark) = remembered
            throw .server("\(text); it was fenced by a move before. To undo: \(report.undoing)")
        }
        if try isSameServer() { throw .refused("source and target are the same Redis") }
        let living = try target.livingDaemons()
        guard living.isEmpty else {
            throw .refused(
                "daemons are before the target already (\(living.map(\.name).joined(separator: ", "))): switched one by one "
                    + "they would end and make sessions that the others do not know. Stop them, and wait three minutes")
        }
        sourceMarks = try source.markNames()
        let mark = try source.mark(sourceMarks)
        let isOurs = mark?.place == MoveMark(.moving, to: report.target).place
        if let mark, !isOurs, !options.resumes, !options.isDryRun {
            let past =
                switch mark.stage {
                case .moving: "is being moved to \(mark.place)"
                case .moved: "has moved before, to \(mark.place): what it has is old"
                }
            report.unmark = MigrationSide.unmarking(sourceMarks)
            throw .refused(
                "the data of the source \(past). Was that move given up? Then --resume, or take its mark away: "
                    + report.undoing)
        }
        let isFilled: Bool
        (isFilled, targetMarks) = try target.holdings()
        guard !isFilled || options.resumes || options.isDryRun else {
            throw .refused(
                "the target has sessions under this prefix already: --resume goes on with a move that was ended before, and "
                    + "takes away what the source has not")
        }
        report.daemons = try source.livingDaemons().map(\.name)
        if let fence {
            report.fencedUser = fence.user
            report.fencedServers = try fence.servers().map(\.endpoint.description)
            report.undo = try fence.undoing()
            // What its rights are is not what they were; also where a move was killed while it had a right back for its mark.
            if isOurs, let remembered {
                report.undo = remembered.undo
            } else if try fence.stands() {
                report.undo = remembered?.undo ?? []
            }
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

    var daemonList: String { report.daemons.isEmpty ? "none seen" : report.daemons.joined(separator: ", ") }

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
}

internal import EventLoop
internal import RedisLink
internal import TokenCache
internal import TokenCacheServer
internal import UnixTime

/// One of the two Redis of a move, spoken to by straight code.
struct MigrationSide {
    /// `source` or `target`, for messages.
    let label: String
    let place: RedisPlace
    let pump: Pump

    static let script = RedisScript(name: "place", source: Array("#!lua\n".utf8) + PackageResources.place_lua)

    /// Keys that are read and written together.
    static let batch = 128
    /// Bytes that are written together, where one key has not more.
    private static let batchBytes = 16 << 20
    /// Keys of the database that one SCAN looks at.
    private static let scanCount = 512
    private static let patience = Duration.seconds(10)
    /// How often a request is sent that a failover, a reshard or a lost connection is in the way of, and how soon again.
    private static let tries = 20
    private static let pauseBetween = Duration.milliseconds(500)

    private var router: RedisRouter { place.router }
    /// Its keys are named as in a cluster.
    var isCluster: Bool { router.isCluster || router.first.serverInfo.isCluster }
    var servers: [RedisNode] { router.servers }

    /// Returns when all servers answer.
    func connect() throws(MigrationFault) {
        place.start()
        let isThere = try pump.wait(Self.patience) {
            !servers.isEmpty && servers.allSatisfy { $0.state == .ready }
        }
        guard isThere else {
            throw MigrationFault(place.fault ?? RedisFault(.unreachable, "no answer"), at: "\(label) \(place.name)")
        }
    }

    /// Whether it tells of every change.
    func awaitFeed() throws(MigrationFault) -> Bool { try pump.wait(Self.patience) { router.isArmed } }

    /// Those that follow a server.
    private func followers(of server: RedisNode, having offset: Int64 = 0) throws(MigrationFault) -> RedisReplicas {
        for _ in 0..<Self.tries {
            var answer: RedisReplicas??
            server.askReplicas(having: offset) { answer = .some($0) }
            _ = try pump.wait(Self.patience) { answer != nil }
            if let found = answer ?? nil { return found }
            try pump.pause(Self.pauseBetween)
        }
        throw .server("\(label): \(server.endpoint) does not tell who follows it (INFO replication)")
    }

    /// Its servers and those that follow them, at one moment.
    struct LineUp {
        fileprivate let runs: [String?]
        fileprivate let replicas: [[RedisEndpoint]]
    }

    func lineUp() throws(MigrationFault) -> LineUp {
        var replicas: [[RedisEndpoint]] = []
        for server in servers { replicas.append(try followers(of: server).listed) }
        return LineUp(runs: servers.map(\.serverInfo.runID), replicas: replicas)
    }

    /// Whether what was written here since stays, whoever is promoted: all replicas from then have it, so none was promoted
    /// before; or, where one is away, no other server is master a while later.
    func keepsAll(since lineUp: LineUp) throws(MigrationFault) -> Bool {
        guard router.mayChangeServers else { return true }
        var written: [Int64] = []
        for _ in 0..<30 {
            let servers = servers
            guard servers.map(\.serverInfo.runID) == lineUp.runs else { return false }
            var isEverywhere = true
            for (place, server) in servers.enumerated() {
                let isFirst = written.count == place
                let answer = try followers(of: server, having: isFirst ? .max : written[place])
                if isFirst { written.append(answer.written) }
                isEverywhere = isEverywhere && lineUp.replicas[place].allSatisfy(answer.inStep.contains)
            }
            if isEverywhere { return true }
            try pump.pause(.milliseconds(100))
        }
        return servers.map(\.serverInfo.runID) == lineUp.runs
    }

    /// Those that follow its servers, connected to: each may be promoted.
    func replicas() throws(MigrationFault) -> [RedisNode] {
        var endpoints: [RedisEndpoint] = []
        for server in servers { endpoints += try followers(of: server).listed }
        let replicas = endpoints.map(place.follower)
        _ = try pump.wait(Self.patience) { replicas.allSatisfy(\.hasOutcome) }
        if let lost = replicas.first(where: { $0.state != .ready }) {
            throw .refused(
                "the \(label)'s replica \(lost.endpoint) cannot be fenced: \(lost.fault ?? "it does not answer"). Daemons could "
                    + "write there once it is promoted: let it be reached as the \(label) is, with the same user and password, "
                    + "or take it away; or take the daemons' rights at all of them yourself, and say --fenced")
        }
        return replicas
    }

    // MARK: Requests

    /// What sends one request.
    typealias Send = (@escaping RedisLink.Completion) -> Void

    /// The replies, each to its request; null for a key that is of another type.
    func answers(_ requests: [Send]) throws(MigrationFault) -> [RedisReply] {
        var replies = [RedisReply](repeating: .null, count: requests.count)
        var open = Array(requests.indices)
        for _ in 0..<Self.tries {
            let results = try pump.gather(open.count) { requests[open[$0]]($1) }
            var failed: [Int] = []
            var last: RedisFault?
            for (index, result) in zip(open, results) {
                switch result {
                case .success(let reply): replies[index] = reply
                case .failure(let fault) where fault.kind == .wrongType: break
                case .failure(let fault) where fault.mayPass: (last, _) = (fault, failed.append(index))
                case .failure(let fault): throw MigrationFault(fault, at: label)
                }
            }
            guard let last else { return replies }
            open = failed
            guard place.router.state != .closed else { throw MigrationFault(last, at: label) }
            try pump.pause(Self.pauseBetween)
        }
        throw .server("\(label): it does not answer for \(Self.tries) tries")
    }

    func answers(_ commands: [RedisCommand]) throws(MigrationFault) -> [RedisReply] {
        try answers(commands.map { command in { [router] in router.send(command, repeatable: true, completion: $0) } })
    }

    func answer(_ command: RedisCommand, of server: RedisNode) throws(MigrationFault) -> RedisReply {
        try answers([{ server.send(command, repeatable: true, completion: $0) }])[0]
    }

    /// The same; null where the server refuses.
    func answer(_ command: RedisCommand, of server: RedisNode, orNull: Bool) throws(MigrationFault) -> RedisReply {
        do throws(MigrationFault) { return try answer(command, of: server) } catch {
            guard orNull, case .server = error else { throw error }
            return .null
        }
    }

    /// The latest time of its servers, Unix ms.
    func time() throws(MigrationFault) -> Int64 {
        var latest: Int64 = 0
        for server in servers {
            guard case .array(let parts) = try answer(RedisCommand("TIME"), of: server), let words = parts.strings,
                words.ends.count == 2, let seconds = Int64(String(decoding: words[0], as: UTF8.self)),
                let micros = Int64(String(decoding: words[1], as: UTF8.self)), (0..<1 << 40).contains(seconds)
            else { throw .server("\(label): it does not tell its time") }
            latest = max(latest, seconds * 1_000 + micros / 1_000)
        }
        return latest
    }

    /// Of the daemons that left a mark within the last three minutes.
    func livingDaemons() throws(MigrationFault) -> [DaemonMark] {
        let key = StoredKey.marks(prefix: place.prefix)
        guard case .array(let pairs) = try answers([RedisCommand("HGETALL", key, key: key)])[0] else { return [] }
        let marks = DaemonMark.all(in: pairs, now: UnixMilliseconds(try time()))
        return marks.filter { $0.age < DaemonMark.aliveFor }.sorted { $0.name < $1.name }
    }

    // MARK: The fence

    /// How long it is known at the target how the fence is taken down, ms: a week.
    private static let fenceMemory = 604_800_000

    /// Keeps the commands that give a user its rights back, and those that take the mark away.
    func remember(_ undo: [String], of user: String) throws(MigrationFault) {
        let key = StoredKey.fence(prefix: place.prefix)
        let text = ([user] + undo).joined(separator: "\n")
        let arguments = [Self.fenceMemory.redisArgument] + ["1", "text", text].map(\.redisArgument)
        _ = try answers([run([key], arguments)])
    }

    /// Those that were kept; nil where there are none of this user.
    func remembered(of user: String) throws(MigrationFault) -> (undo: [String], unmark: [String])? {
        let key = StoredKey.fence(prefix: place.prefix)
        guard case .bulk(let text) = try answers([RedisCommand("GET", key, key: key)])[0] else { return nil }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
        guard lines.first == user else { return nil }
        let isUnmarking = { (line: String) in line.hasPrefix("\(Self.unmarking) ") }
        return (lines.dropFirst().filter { !isUnmarking($0) }, lines.filter(isUnmarking))
    }

    // MARK: The mark

    private static let unmarking = "DEL"

    private var markName: [UInt8] { MoveMark.key(prefix: place.prefix) }

    /// What marks of a move are called here: those that stand here, of servers as they were when they were left; and those
    /// that belong here now.
    func markNames() throws(MigrationFault) -> [[UInt8]] {
        var standing: [[UInt8]] = []
        try scan(KeyPattern.beginning(with: markName)) { standing += marks(among: $0) }
        return markNames(beside: standing)
    }

    /// The same where those are known that stand here. A cluster has a mark for each server beside the one of all.
    func markNames(beside known: [[UInt8]]) -> [[UInt8]] {
        let own = router.isCluster ? servers.map { $0.ownKey(markName) } : []
        return Set([markName] + own + known).sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Those of single servers.
    private func marks(among names: [[UInt8]]) -> [[UInt8]] {
        names.filter { $0.starts(with: markName + [UInt8(ascii: "{")]) }
    }

    /// What the mark says; nil where none stands.
    func mark(_ names: [[UInt8]]) throws(MigrationFault) -> MoveMark? {
        let replies = try answers(names.map { RedisCommand("GET", $0, key: $0) })
        for case .bulk(let text) in replies { return MoveMark(text) }
        return nil
    }

    /// Says among the data where it goes. It is for good: it has no end.
    func leave(_ mark: MoveMark, _ names: [[UInt8]]) throws(MigrationFault) {
        let text = mark.text(at: UnixMilliseconds(try time()))
        _ = try answers(names.map { RedisCommand("SET", $0, text, key: $0) })
    }

    /// The commands that take the mark away.
    static func unmarking(_ names: [[UInt8]]) -> [String] {
        names.map { "\(unmarking) \(String(decoding: $0, as: UTF8.self))" }
    }

    /// Takes the mark away.
    func unmark(_ names: [[UInt8]]) throws(MigrationFault) {
        _ = try answers(names.map { RedisCommand("DEL", $0, key: $0) })
    }

    private func run(_ keys: [[UInt8]], _ arguments: [[UInt8]]) -> Send {
        { [router] completion in
            router.run(Self.script, keys: keys, arguments: arguments, repeatable: true) { result, _ in
                completion(result)
            }
        }
    }

    // MARK: Keys

    /// Walks over the names of all keys of a pattern; each that is there throughout is seen, some perhaps twice.
    private func scan(
        _ pattern: [UInt8], _ body: ([[UInt8]]) throws(MigrationFault) -> Void
    ) throws(MigrationFault) {
        for server in servers {
            var cursor = "0"
            repeat {
                let scan = RedisCommand("SCAN", cursor, "MATCH", pattern, "COUNT", Self.scanCount)
                guard case .array(let reply) = try answer(scan, of: server), reply.count == 2,
                    case .bulk(let next) = reply[0], case .array(let found) = reply[1]
                else { throw .server("\(label): SCAN is answered unexpectedly") }
                try body(
                    found.compactMap { name in
                        guard case .bulk(let name) = name else { return nil }
                        return name
                    })
                cursor = String(decoding: next, as: UTF8.self)
            } while cursor != "0"
        }
    }

    /// Walks over all keys that are carried, at most a batch at once, as `scan` does; of the servers' epochs one.
    func walk(_ body: ([StoredKey]) throws(MigrationFault) -> Void) throws(MigrationFault) {
        var hasEpoch = false
        try scan(KeyPattern.beginning(with: place.prefix)) { names throws(MigrationFault) in
            let keys = names.compactMap { name -> StoredKey? in
                guard let key = StoredKey(name, prefix: place.prefix) else { return nil }
                guard key.kind == .epoch else { return key }
                defer { hasEpoch = true }
                return hasEpoch ? nil : key
            }
            for part in keys.batches { try body(part) }
        }
    }

    /// Whether it has keys that are carried, and what marks of a move are called here.
    func holdings() throws(MigrationFault) -> (isFilled: Bool, marks: [[UInt8]]) {
        var isFilled = false
        var standing: [[UInt8]] = []
        try scan(KeyPattern.beginning(with: place.prefix)) { names in
            isFilled = isFilled || names.contains { StoredKey($0, prefix: place.prefix) != nil }
            standing += marks(among: names)
        }
        return (isFilled, markNames(beside: standing))
    }

    /// What a key is called here. Each server has an epoch of its own.
    private func names(of key: StoredKey) -> [[UInt8]] {
        let name = key.name(isCluster: isCluster)
        return key.kind == .epoch ? servers.map { $0.ownKey(name) } : [name]
    }

    /// What each of the keys holds; nil where there is no such key of ours. Of epochs the latest.
    func read(_ keys: [StoredKey]) throws(MigrationFault) -> [KeyContents?] {
        let named = keys.map { key in (key, names(of: key)) }
        let commands = named.flatMap { key, names in
            names.flatMap { [RedisCommand("PTTL", $0, key: $0), KeyContents.read(key.kind, $0)] }
        }
        var replies = try answers(commands)[...]
        var contents: [KeyContents?] = []
        for (key, names) in named {
            var latest: KeyContents?
            for name in names {
                guard let life = replies.popFirst(), let page = replies.popFirst() else { break }
                let value = try whole(key, name, firstPage: page)
                let found = KeyContents(key.kind, timeToLive: life, value: value)
                if let found, latest.map({ $0.number < found.number }) ?? true { latest = found }
            }
            contents.append(latest)
        }
        return contents
    }

    /// Those of the keys that are not there any more.
    func missing(_ keys: [StoredKey]) throws(MigrationFault) -> [StoredKey] {
        let named = keys.map { key in (key, names(of: key)) }
        var lives = try answers(named.flatMap { _, names in names.map { RedisCommand("PTTL", $0, key: $0) } })[...]
        return named.filter { _, names in
            let own = lives.prefix(names.count)
            lives = lives.dropFirst(names.count)
            return !own.contains { if case .integer(1...) = $0 { true } else { false } }
        }.map(\.0)
    }

    /// The other pages of a long sorted set. What is changed meanwhile is told.
    private func whole(
        _ key: StoredKey, _ name: [UInt8], firstPage: RedisReply
    ) throws(MigrationFault) -> RedisReply {
        guard key.kind.type == .set, case .array(var page) = firstPage, page.count >= 2 * KeyContents.page else {
            return firstPage
        }
        var all = Array(page)
        while page.count >= 2 * KeyContents.page {
            let reply = try answers([KeyContents.read(key.kind, name, from: all.count / 2)])[0]
            guard case .array(let next) = reply else { break }
            page = next
            all += page
        }
        return .array(RedisArray(all))
    }

    /// Writes what the keys hold; those of nothing are taken away.
    /// - Parameter readAt: when the contents were read, from which on their life is counted.
    func write(_ keys: [StoredKey], _ contents: [KeyContents?], readAt: MonotonicInstant) throws(MigrationFault) {
        var requests: [Send] = []
        var bytes = 0
        for (key, contents) in zip(keys, contents) {
            let names = names(of: key)
            let age = Milliseconds(readAt.duration(to: .now()) / .milliseconds(1))
            for arguments in KeyContents.placing(contents, key.kind, age: age) {
                for name in names { requests.append(run([name], arguments)) }
            }
            bytes += contents?.byteCount ?? 0
            guard bytes >= Self.batchBytes else { continue }
            _ = try answers(requests)
            (requests, bytes) = ([], 0)
        }
        if !requests.isEmpty { _ = try answers(requests) }
    }
}

extension Array {
    /// In pieces of a batch.
    var batches: [[Element]] {
        stride(from: 0, to: count, by: MigrationSide.batch).map {
            Array(self[$0..<Swift.min($0 + MigrationSide.batch, count)])
        }
    }
}

extension RedisNode {
    /// It is connected, or cannot be for a reason that does not pass.
    fileprivate var hasOutcome: Bool {
        if case .down(let fault) = state { return !fault.mayPass }
        return state == .ready
    }
}

extension RedisFault {
    /// Asking again may help: a connection, a failover or a reshard is in the way.
    var mayPass: Bool {
        switch kind {
        case .unreachable, .timeout, .closed, .loading, .busy, .readOnly, .masterDown, .cluster, .clusterDown,
            .noReplicas:
            true
        default: false
        }
    }
}

import RedisLink
import SeededRandom
import Tokens
import UnixTime

/// A Redis of a simulation: it speaks RESP, has a clock of its own, and fails as a real one does.
///
/// Commands that came are carried out in cycles, as in Redis: first all commands that are there, of all connections; then
/// what they changed is told to those who track, in one message, sorted; then the replies are written. `ModelTests` hold
/// it to a real one.
final class ModelRedis: SimulatedServer {
    let agenda: Agenda
    let number: Int
    let host: String
    var keys = ModelKeys()
    private var random: SeededRandom
    /// Names of the scripts that it knows the meaning of → source.
    private let sources: [[UInt8]: String]
    /// Digest → name and flags.
    var loaded: [String: LoadedScript] = [:]
    private(set) var connections: [ModelConnection] = []
    private var nextID: Int64 = 7
    private var waiting: [ModelConnection] = []
    private var isCycleDue = false
    var runID = ""
    private var starts = 0
    private var living: [String: ModelEntry] = [:]

    /// What this Redis's clock is ahead of the others' by, milliseconds.
    private(set) var clockOffset: Int64
    var faults = ModelFaults()
    /// What a removed rule does to the scripts and to what is told.
    var bent: Set<BentStore> = []
    var password: [UInt8]?

    /// Nil where it is in none.
    weak var cluster: ModelCluster?
    /// Nil where it is alone.
    weak var replication: ModelReplication?

    /// Told of every key that a command changed, after it: by whom, and by which script or command.
    var onChange: (_ key: String, ModelEntry?, ChangeSource) -> Void = { _, _, _ in }
    /// Told of every argument of 48 bytes and more that it receives.
    var onArgument: ([UInt8]) -> Void = { _ in }
    /// Told when a client connects.
    var onClient: (SimulatedNetwork.PathName) -> Void = { _ in }
    /// Told of keys that a crash, FLUSHALL or a failover took back.
    var onLoss: ([String]) -> Void = { _ in }

    struct LoadedScript {
        let name: String
        let allowsFullMemory: Bool
    }

    struct ChangeSource {
        var path: SimulatedNetwork.PathName?
        var command: String
    }

    init(agenda: Agenda, number: Int = 0, seed: UInt64, scripts: [RedisScript], clockOffset: Int64 = 0) {
        self.agenda = agenda
        self.number = number
        host = "h\(number)"
        self.clockOffset = clockOffset
        random = SeededRandom(seed: seed ^ 0x5eed_0000 ^ UInt64(number) << 32)
        sources = Dictionary(scripts.map { ($0.source, $0.name) }, uniquingKeysWith: { first, _ in first })
        newRunID()
    }

    /// Unix milliseconds by its clock.
    var milliseconds: Int64 { microseconds / 1_000 }
    var microseconds: Int64 { (SimulatedLoop.epoch + clockOffset).sinceEpoch * 1_000 + agenda.now / 1_000 }
    var isDown: Bool { faults.isDown }
    var mode: String { cluster == nil ? "standalone" : "cluster" }

    private func newRunID() {
        starts += 1
        let digits = String(number * 1_000 + starts)
        runID = String(repeating: "0", count: 40 - digits.count) + digits
    }

    func scriptName(_ source: [UInt8]) -> String? { sources[source] }

    // MARK: Connections

    func accept(_ stream: SimulatedStream) -> any SimulatedPeer {
        onClient(stream.path)
        let connection = ModelConnection(redis: self, id: nextID, stream: stream)
        nextID += 1
        connections.append(connection)
        if faults.refusesClients {
            connection.reply(.error("ERR max number of clients reached"))
            connection.flush()
            connection.closeByServer()
        }
        return connection
    }

    func removed(_ connection: ModelConnection) {
        repeatLast(of: connection)
        connections.removeAll { $0 === connection }
        waiting.removeAll { $0 === connection }
    }

    func received(_ connection: ModelConnection) {
        if !waiting.contains(where: { $0 === connection }) { waiting.append(connection) }
        scheduleCycle()
    }

    private func scheduleCycle() {
        guard !isCycleDue, !faults.isPaused, !isDown else { return }
        isCycleDue = true
        agenda.after(.microseconds(Int64.random(in: 3...60, using: &random))) { [self] in cycle() }
    }

    /// What is there is carried out, told, answered, in this order.
    private func cycle() {
        isCycleDue = false
        guard !faults.isPaused, !isDown else { return }
        let turn = waiting
        waiting = []
        for connection in turn where connection.isOpen {
            while connection.isOpen, !connection.isBlocked, let command = connection.nextCommand() {
                run(command, on: connection)
            }
        }
        tellChanges()
        for connection in connections { connection.flush() }
        for connection in turn { connection.endIfClosing() }
    }

    private func run(_ words: [[UInt8]], on connection: ModelConnection) {
        for word in words where word.count >= 48 { onArgument(word) }
        if ModelScripts.isSentOnce(words) { connection.lastData = (words, agenda.now) }
        let reply = ModelCommands.run(words, on: connection, self)
        if let reply { connection.reply(reply) }
        let source = ChangeSource(path: connection.path, command: ModelCommands.name(of: words, in: self))
        let before = replication?.written(by: number) ?? 0
        report(source)
        let after = replication?.written(by: number) ?? 0
        if after > before { connection.written = after }
    }

    private var untold: Set<String> = []

    private func report(_ source: ChangeSource) {
        for key in keys.takeChanged() {
            untold.insert(key)
            onChange(key, keys[key], source)
        }
    }

    /// One message for each connection that tracks, with the keys in order.
    private func tellChanges() {
        guard !untold.isEmpty else { return }
        let told = untold.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        untold = []
        for connection in connections {
            guard let prefix = connection.trackedPrefix else { continue }
            let own = told.filter { $0.utf8.starts(with: prefix) && !isHidden($0) }
            guard !own.isEmpty else { continue }
            connection.tell(.array(own.map { .bulk(bytes($0)) }))
        }
    }

    /// Whether a removed rule keeps this key from being told.
    private func isHidden(_ key: String) -> Bool {
        if bent.contains(.epochIsNotTold), key.hasPrefix("tc:s:~epoch") { return true }
        return bent.contains(.onlyBeatsAreTold) ? !key.utf8.contains(UInt8(ascii: "~")) : false
    }

    /// FLUSHALL is told at once, as a null.
    func flushAll() {
        let names = keys.names
        let now = agenda.now
        for name in names { keys.set(name, nil, at: now) }
        for name in keys.takeChanged() { onChange(name, nil, ChangeSource(command: "FLUSHALL")) }
        onLoss(names)
        untold = []
        guard !bent.contains(.flushIsNotTold) else { return }
        for connection in connections where connection.trackedPrefix != nil { connection.tell(.null) }
        for connection in connections { connection.flush() }
    }

    // MARK: A move

    /// Of a move; nothing of a session.
    static let mark = "tc:d:moved"

    /// Where a move has left its mark no daemon serves, and nothing changes.
    var isMarked: Bool { keys[Self.mark] != nil }

    /// What a move says here; nil: it takes that back.
    func leave(_ mark: MoveMark?) {
        let text = mark?.text(at: UnixMilliseconds(milliseconds))
        keys.set(Self.mark, text.map { ModelEntry(value: .string($0)) }, at: agenda.now)
        // Nobody is told of it.
        for name in keys.takeChanged() { onChange(name, keys[name], ChangeSource(command: "migrate")) }
    }

    // MARK: Time

    /// What stands under a key now; what has run out is deleted and told.
    func find(_ key: String) -> ModelEntry? {
        guard let entry = keys[key] else { return nil }
        guard let end = entry.expireAt, end <= milliseconds else { return entry }
        keys.set(key, nil, at: agenda.now)
        return nil
    }

    func put(_ key: String, _ entry: ModelEntry?) {
        if bent.contains(.touchCreates), let entry, entry[bytes("a")] != nil { living[key] = entry }
        if let end = entry?.expireAt, end <= milliseconds { return keys.set(key, nil, at: agenda.now) }
        if let end = entry?.expireAt, keys[key]?.expireAt != end { schedule(key, end) }
        keys.set(key, entry, at: agenda.now)
    }

    /// What lived last under a key: for a removed rule.
    func lastLiving(_ key: String) -> ModelEntry? {
        guard var entry = living[key] else { return nil }
        entry.expireAt = milliseconds + 2_000
        return entry
    }

    /// What nobody asks for goes within a tenth of a second.
    private func schedule(_ key: String, _ end: Int64) {
        let left = SimulatedTime.milliseconds(end - milliseconds)
        let late = SimulatedTime.microseconds(Int64.random(in: 1_000...100_000, using: &random))
        agenda.after(max(0, left) + late) { [self] in expire(key) }
    }

    private func expire(_ key: String) {
        guard let end = keys[key]?.expireAt, end <= milliseconds else { return }
        // A replica is told.
        guard !faults.isReplica else { return }
        guard !isDown, !faults.isPaused, faults.role == .master else {
            return agenda.after(.milliseconds(100)) { [self] in expire(key) }
        }
        keys.set(key, nil, at: agenda.now)
        report(ChangeSource(command: "expired"))
        tellChanges()
        for connection in connections { connection.flush() }
    }

    /// What stood in a field a moment ago, where it was another value: for a removed rule.
    func formerly(_ key: String, _ field: [UInt8]) -> [UInt8]? {
        keys.formerly(key, since: agenda.now - .milliseconds(5))?[field]
    }

    /// A connection has ended, and nobody knows whether its last command was carried out: for a removed rule.
    private func repeatLast(of connection: ModelConnection) {
        guard bent.contains(.unknownFateIsRepeated), let last = connection.lastData, !isDown else { return }
        guard agenda.now - last.at < .milliseconds(300) else { return }
        agenda.after(.milliseconds(5)) { [self] in
            if !isDown { run(last.command, on: connection) }
            tellChanges()
            for connection in connections { connection.flush() }
        }
    }

    func jump(milliseconds: Int64) {
        clockOffset += milliseconds
        for name in keys.names { if let end = keys[name]?.expireAt { schedule(name, end) } }
    }

    // MARK: Life

    /// - Parameter loss: what was written in so many nanoseconds before is lost with it.
    func crash(loss: SimulatedTime) {
        faults.isDown = true
        for connection in connections { connection.closeByServer() }
        connections = []
        waiting = []
        untold = []
        loaded = [:]
        guard loss > 0 else { return }
        let lost = keys.lose(since: agenda.now - loss)
        for name in lost { onChange(name, keys[name], ChangeSource(command: "lost")) }
        onLoss(lost)
    }

    func start(loadingFor span: SimulatedTime) {
        faults.isDown = false
        faults.fence = nil
        faults.loadingUntil = agenda.now + span
        newRunID()
        for name in keys.names { if let end = keys[name]?.expireAt { schedule(name, end) } }
    }

    /// Begins with what another one holds.
    func take(_ other: ModelKeys) {
        keys.copy(from: other)
        scheduleAll()
    }

    private func scheduleAll() {
        for name in keys.names { if let end = keys[name]?.expireAt { schedule(name, end) } }
    }

    /// Others' daemons ask here, and their beats are written and told.
    func beats(until end: SimulatedTime) {
        guard agenda.now < end else { return }
        let key = "tc:s:~\(milliseconds / 200)"
        if keys[key] == nil {
            follow([(key, ModelEntry(value: .string([UInt8(ascii: "1")]), expireAt: milliseconds + 2_000))])
        }
        agenda.after(.milliseconds(50)) { [weak self] in self?.beats(until: end) }
    }

    // MARK: As one of several

    /// It is the master from now on.
    func promote() {
        (faults.role, faults.isReplica) = (.master, false)
        scheduleAll()
    }

    /// A key that came from another server runs out here.
    func promoteKey(_ name: String) { if let end = keys[name]?.expireAt { schedule(name, end) } }

    /// It is a replica from now on.
    func demote(endsConnections: Bool = true) {
        (faults.role, faults.isReplica) = (.slave, true)
        guard endsConnections else { return }
        for connection in connections { connection.closeByServer() }
    }

    /// What its master has done.
    func follow(_ changes: [(key: String, entry: ModelEntry?)]) {
        for (key, entry) in changes { keys.set(key, entry, at: agenda.now) }
        untold.formUnion(keys.takeChanged())
        tellChanges()
        for connection in connections { connection.flush() }
    }

    /// A full synchronisation: all that it had goes, and who tracks is told so.
    func synchronise(with master: ModelKeys) {
        keys.copy(from: master)
        untold = []
        for connection in connections where connection.trackedPrefix != nil { connection.tell(.null) }
        for connection in connections { connection.flush() }
    }

    /// WAIT: until so many replicas have what was written over this connection, or until then, it does nothing else. What
    /// others wrote since is not waited for, as by Redis 8.
    func await(_ count: Int64, replicasUntil end: SimulatedTime, on connection: ModelConnection) {
        guard !bent.contains(.replicasAreNotAwaited) else { return connection.reply(.integer(count)) }
        connection.isBlocked = true
        look(for: count, connection.written, until: end, on: connection)
    }

    private func look(
        for count: Int64, _ written: Int, until end: SimulatedTime, on connection: ModelConnection
    ) {
        guard connection.isOpen else { return }
        let replicas = replication?.followers(of: number).count { $0.isOnline && $0.offset >= written } ?? 0
        guard !faults.isPaused, replicas >= count || agenda.now >= end else {
            return agenda.after(.milliseconds(1)) { [weak self, weak connection] in
                if let self, let connection { look(for: count, written, until: end, on: connection) }
            }
        }
        connection.isBlocked = false
        connection.reply(.integer(Int64(replicas)))
        received(connection)
    }

    func pause() { faults.isPaused = true }

    func resume() {
        faults.isPaused = false
        if !waiting.isEmpty { scheduleCycle() }
    }

    /// CLIENT KILL of the connections of a daemon.
    func kill(where matches: (ModelConnection) -> Bool) {
        for connection in connections where matches(connection) { connection.closeByServer() }
    }
}

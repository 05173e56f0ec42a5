import Foundation
import Synchronization
import TestSupport

/// Stands between a daemon and its Redis, before each master of a cluster, and forwards bytes, both ways; each way of each
/// kind of connection can be delayed, stopped (as SIGSTOP would: nothing is closed), cut, and kept from being made anew.
final class RedisProxy: Sendable {
    /// What a connection is for, as the daemon itself names it.
    enum Kind: Hashable, Sendable {
        case data, feed
        /// A Sentinel's, by its own account.
        case sentinel

        init(first bytes: [UInt8]) {
            let text = String(decoding: bytes, as: UTF8.self)
            self = text.contains("tokencached-invalidation") ? .feed : text.contains("sentinel-") ? .sentinel : .data
        }
    }

    /// How connections of a kind are treated.
    struct Treatment: Sendable {
        /// Added to what Redis says.
        var delay = Duration.zero
        /// Neither read nor written until this is taken back.
        var isStopped = false
        /// New ones are taken and then never served, as by a Redis that does not answer.
        var holdsNew = false
    }

    let url: String
    /// The socket of each master.
    private let targets: Mutex<[String]>
    private let treatments = Mutex<[Kind: Treatment]>([:])
    /// Kinds whose connections are to be closed, or stopped, once.
    private let orders = Mutex<(cut: Set<Kind>, stop: Set<Kind>)>(([], []))
    private let background = Mutex<Background?>(nil)

    /// A daemon that is sent here finds the server nowhere else: three Sentinels name this port, or what the servers say
    /// of the cluster does.
    init(_ stage: Stage, to server: RedisServer) throws {
        let masters = server.masters
        targets = Mutex(masters.map(\.socket))
        let listeners: [Int32]
        var renamed: [(from: [UInt8], to: [UInt8])] = []
        if server.topology == .alone {
            let socket = "\(try stage.clientFolder())/p\(UInt16.random(in: 0 ... .max)).sock"
            url = "unix://\(socket)"
            listeners = [try ProxySocket.listen(socket)]
        } else {
            let ports = try masters.map { _ in try FreePort.find() }
            listeners = try ports.map { try ProxySocket.listen(port: $0) }
            url = try server.url(by: ports[0])
            // Of the same length: all ports have five digits. One that is alone does not know its address.
            renamed = zip(masters, ports).map { (Array(":\($0.port)@".utf8), Array(":\($1)@".utf8)) }
        }
        let engine = Mutex(ProxyEngine(listeners: listeners, renamed: renamed))
        background.withLock {
            $0 = Background { [weak self] in
                guard let self else { return }
                let treatments = treatments.withLock { $0 }
                let orders = orders.withLock { orders in
                    defer { orders = ([], []) }
                    return orders
                }
                engine.withLock { engine in
                    engine.carryOut(cut: orders.cut, stop: orders.stop)
                    engine.turn(treatments, targets: targets.withLock { $0 })
                }
            }
        }
    }

    func close() { try? background.withLock { try $0?.stop() } }

    /// Connections that are made from now on lead there.
    func retarget(to server: RedisServer) { targets.withLock { $0 = server.masters.map(\.socket) } }

    func treat(_ kind: Kind, _ change: (inout Treatment) -> Void) {
        treatments.withLock { change(&$0[kind, default: Treatment()]) }
    }

    /// Closes the connections of this kind that there are.
    func cut(_ kind: Kind) { orders.withLock { _ = $0.cut.insert(kind) } }

    /// Stops those that there are, for good; new ones are served.
    func stopThose(_ kind: Kind) { orders.withLock { _ = $0.stop.insert(kind) } }
}

/// The sockets and what waits in them. Belongs to one thread.
private struct ProxyEngine: ~Copyable {
    private struct Pipe {
        var waiting: [(due: ContinuousClock.Instant, bytes: [UInt8])] = []
        var count = 0
    }

    private struct Connection {
        let daemon: Int32
        let redis: Int32
        var kind: RedisProxy.Kind?
        var toRedis = Pipe()
        var toDaemon = Pipe()
        var isStopped = false
        var isEnded = false
    }

    /// One for each master.
    private let listeners: [Int32]
    /// What is put in the place of what, wherever Redis says it.
    private let renamed: [(from: [UInt8], to: [UInt8])]
    private var connections: [Connection] = []

    init(listeners: [Int32], renamed: [(from: [UInt8], to: [UInt8])]) {
        self.listeners = listeners
        self.renamed = renamed
    }

    deinit {
        for listener in listeners { close(listener) }
        for connection in connections {
            close(connection.daemon)
            close(connection.redis)
        }
    }

    mutating func carryOut(cut: Set<RedisProxy.Kind>, stop: Set<RedisProxy.Kind>) {
        for index in connections.indices {
            guard let kind = connections[index].kind else { continue }
            if cut.contains(kind) { connections[index].isEnded = true }
            if stop.contains(kind) { connections[index].isStopped = true }
        }
    }

    /// Waits a moment for something to do, and does it.
    mutating func turn(_ treatments: [RedisProxy.Kind: RedisProxy.Treatment], targets: [String]) {
        remove()
        let stopped = connections.map { connection in
            connection.isStopped || connection.kind.flatMap { treatments[$0]?.isStopped } == true
        }
        var entries = listeners.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        for (connection, isStopped) in zip(connections, stopped) {
            let events = isStopped ? 0 : Int16(POLLIN)
            entries.append(pollfd(fd: isStopped ? -1 : connection.daemon, events: events, revents: 0))
            entries.append(pollfd(fd: isStopped ? -1 : connection.redis, events: events, revents: 0))
        }
        let isWaiting = connections.contains { $0.toDaemon.count + $0.toRedis.count > 0 }
        poll(&entries, nfds_t(entries.count), isWaiting ? 1 : 5)
        for index in connections.indices where !stopped[index] {
            let delay = connections[index].kind.flatMap { treatments[$0]?.delay } ?? .zero
            let place = listeners.count + 2 * index
            if entries[place].revents != 0 { readDaemon(index, treatments) }
            if entries[place + 1].revents != 0 {
                let isOpen = ProxySocket.read(connections[index].redis) { bytes in
                    let bytes = renamed.reduce(bytes) { $0.replacing($1.from, with: $1.to) }
                    connections[index].toDaemon.waiting.append((.now + delay, bytes))
                    connections[index].toDaemon.count += bytes.count
                }
                if !isOpen { connections[index].isEnded = true }
            }
            Self.drain(&connections[index].toRedis, into: connections[index].redis)
            Self.drain(&connections[index].toDaemon, into: connections[index].daemon)
        }
        for (place, target) in targets.prefix(listeners.count).enumerated() where entries[place].revents != 0 {
            accept(at: listeners[place], target)
        }
    }

    private mutating func readDaemon(_ index: Int, _ treatments: [RedisProxy.Kind: RedisProxy.Treatment]) {
        let isOpen = ProxySocket.read(connections[index].daemon) { bytes in
            if connections[index].kind == nil {
                let kind = RedisProxy.Kind(first: bytes)
                connections[index].kind = kind
                if treatments[kind]?.holdsNew == true { connections[index].isStopped = true }
            }
            guard !connections[index].isStopped else { return }
            connections[index].toRedis.waiting.append((.now, bytes))
            connections[index].toRedis.count += bytes.count
        }
        if !isOpen { connections[index].isEnded = true }
    }

    private static func drain(_ pipe: inout Pipe, into descriptor: Int32) {
        while let first = pipe.waiting.first, first.due <= .now {
            let count = send(descriptor, first.bytes, first.bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            guard count > 0 else { return }
            pipe.count -= count
            if count == first.bytes.count {
                pipe.waiting.removeFirst()
            } else {
                pipe.waiting[0].bytes.removeFirst(count)
            }
        }
    }

    private mutating func accept(at listener: Int32, _ target: String) {
        let daemon = Glibc.accept(listener, nil, nil)
        guard daemon >= 0 else { return }
        _ = fcntl(daemon, F_SETFD, FD_CLOEXEC)
        guard let redis = ProxySocket.connect(target) else {
            close(daemon)
            return
        }
        connections.append(Connection(daemon: daemon, redis: redis))
    }

    private mutating func remove() {
        for connection in connections where connection.isEnded {
            // A process that was started between `accept` and `fcntl` may hold it, too.
            shutdown(connection.daemon, Int32(SHUT_RDWR))
            close(connection.daemon)
            close(connection.redis)
        }
        connections.removeAll { $0.isEnded }
    }
}

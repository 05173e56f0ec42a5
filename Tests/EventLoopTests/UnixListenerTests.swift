import EventLoop
import Glibc
import TestSupport
import Testing

@Suite("Listening on a Unix socket")
struct UnixListenerTests {
    @Test("it binds with its mode and accepts in the loop")
    func bindsAndAccepts() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let bound = try UnixListener.bind(path: folder.path + "/s", mode: 0o600)
        var status = stat()
        #expect(lstat(bound.path, &status) == 0)
        #expect(status.st_mode == S_IFSOCK | 0o600)
        #expect(fcntl(bound.descriptor, F_GETFD) & FD_CLOEXEC != 0)

        let client = Client(loop: loop)
        let listener = loop.listen(on: bound.descriptor) { descriptor in
            #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
            write(descriptor, "hello", 5)
            close(descriptor)
        }
        client.stream.connect(unixPath: bound.path, timeout: .seconds(5))
        loop.run(atMost: .seconds(5))
        #expect(client.events == [.connected, .received("hello"), .closed(.endOfFile)])
        listener.close()
        bound.removePath()
        #expect(access(bound.path, F_OK) != 0)
    }

    @Test("a live socket is never stolen")
    func liveSocket() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let first = try UnixListener.bind(path: path)
        #expect(throws: UnixListenerError.inUse(path: path)) { try UnixListener.bind(path: path) }
        close(first.descriptor)
    }

    @Test("a live socket with a full backlog is never stolen")
    func liveSocketWithFullBacklog() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let first = try UnixListener.bind(path: path, backlog: 0)
        for _ in 0..<3 { #expect(throws: UnixListenerError.inUse(path: path)) { try UnixListener.bind(path: path) } }
        close(first.descriptor)
    }

    @Test("a stale socket is replaced, and its old owner leaves the new one alone")
    func staleSocket() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let first = try UnixListener.bind(path: path)
        // A child that another test starts may hold the descriptor for a moment longer.
        shutdown(first.descriptor, Int32(SHUT_RDWR))
        close(first.descriptor)
        let second = try UnixListener.bind(path: path)
        first.removePath()
        #expect(access(path, F_OK) == 0)
        second.removePath()
        #expect(access(path, F_OK) != 0)
        close(second.descriptor)
    }

    @Test("what is no socket is left alone")
    func noSocket() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        close(creat(path, 0o600))
        #expect(throws: UnixListenerError.notASocket(path: path)) { try UnixListener.bind(path: path) }
        #expect(access(path, F_OK) == 0)
    }

    @Test("a path that cannot be is an error")
    func impossiblePaths() throws {
        let folder = try TemporaryFolder()
        let long = folder.path + "/" + String(repeating: "x", count: 107 - folder.path.utf8.count)
        #expect(long.utf8.count == 108)
        #expect(throws: UnixListenerError.invalidPath(path: long)) { try UnixListener.bind(path: long) }
        let longest = String(long.dropLast())
        close(try UnixListener.bind(path: longest).descriptor)
        let missing = folder.path + "/none/s"
        #expect(throws: UnixListenerError.system(path: missing, operation: "open its folder", number: ENOENT)) {
            try UnixListener.bind(path: missing)
        }
        #expect(throws: UnixListenerError.invalidPath(path: "")) { try UnixListener.bind(path: "") }
    }

    @Test("a paused listener leaves connections in the backlog")
    func pausedListener() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let bound = try UnixListener.bind(path: folder.path + "/s")
        var isPaused = true
        let listener = loop.listen(on: bound.descriptor) { descriptor in
            #expect(!isPaused)
            close(descriptor)
        }
        listener.pause()
        let client = Client(loop: loop)
        client.stream.connect(unixPath: bound.path, timeout: .seconds(5))
        client.onConnected = {
            loop.later {
                isPaused = false
                listener.resume()
            }
        }
        loop.run(atMost: .seconds(5))
        #expect(client.events == [.connected, .closed(.endOfFile)])
        listener.close()
    }
}

internal import CLinux
internal import Glibc

/// Why a program gave nothing that can be used.
public enum ProgramFault: Error, Equatable, Sendable, CustomStringConvertible {
    case cannotStart(number: Int32)
    /// It ended otherwise than with status 0.
    case ended(ProcessEnd)
    /// It wrote more than was allowed.
    case tooLong(maxBytes: Int)
    /// It did not end in time.
    case timeout(Duration)

    public var description: String {
        switch self {
        case .cannotStart(let number): "it cannot be started: \(describe(errno: number))"
        case .ended(let end): "\(end)"
        case .tooLong(let maxBytes): "it wrote more than \(maxBytes) bytes"
        case .timeout(let limit): "it did not end within \(limit.components.seconds) s"
        }
    }
}

/// One run of a program, to its end: what it wrote to standard output, bounded in time and length.
///
/// No shell: the words are the program and its arguments. Its standard input and error are `/dev/null`. It has a process group
/// of its own, which is ended with it where it takes too long or says too much. Belongs to its loop's thread; a run that
/// nobody holds goes on to its end, so that its process is reaped.
public final class ProgramRun {
    /// What its output is read into at once, bytes.
    private static let pieceBytes = 4_096

    private let loop: EventLoop
    private let timeLimit: Duration
    private let maxBytes: Int
    private var done: ((Result<[UInt8], ProgramFault>) -> Void)?
    private var output: [UInt8] = []
    /// The end of the pipe that is read; −1 once it is closed.
    private var descriptor: Int32 = -1
    private var watch: DescriptorWatch?
    private var process: ProcessWatch?
    private var timer: LoopTimer?

    /// Starts it. `done` is called once, from the loop, never before this has returned.
    /// - Parameters:
    ///   - words: an absolute path, and the arguments.
    ///   - environment: all of the program's.
    ///   - maxBytes: that it may write.
    public init(
        loop: EventLoop, words: [String], environment: [String: String], timeLimit: Duration, maxBytes: Int,
        done: @escaping (Result<[UInt8], ProgramFault>) -> Void
    ) {
        self.loop = loop
        self.timeLimit = timeLimit
        self.maxBytes = maxBytes
        self.done = done
        do throws(ProgramFault) { try start(words, environment) } catch {
            closePipe()
            loop.later { [self] in finish(.failure(error)) }
        }
    }

    /// Ends the program and what belongs to it; `done` is not called any more.
    public func cancel() {
        done = nil
        kill()
    }

    private func start(_ words: [String], _ environment: [String: String]) throws(ProgramFault) {
        var pipe: [Int32] = [-1, -1]
        guard pipe2(&pipe, O_CLOEXEC) == 0 else { throw .cannotStart(number: errno) }
        descriptor = pipe[0]
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        let processID: Int32
        do throws(ProgramFault) { processID = try Self.spawn(words, environment, output: pipe[1]) } catch {
            close(pipe[1])
            throw error
        }
        close(pipe[1])
        process = ProcessWatch(loop: loop, processID: processID) { [self] end in ended(end) }
        guard process != nil else {
            // Not even a descriptor to hold it by.
            let number = errno
            Glibc.kill(processID, SIGKILL)
            waitpid(processID, nil, 0)
            throw .cannotStart(number: number)
        }
        watch = loop.watch(descriptor, handler: self)
        watch?.setReading(true)
        timer = loop.makeTimer { [unowned self] in fail(.timeout(timeLimit)) }
        timer?.start(after: timeLimit)
    }

    private static func spawn(
        _ words: [String], _ environment: [String: String], output: Int32
    ) throws(ProgramFault) -> Int32 {
        guard let program = words.first else { throw .cannotStart(number: ENOENT) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addchdir_np(&actions, "/")
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        switch startProcess(program, words, environment: variables, &actions) {
        case .success(let processID): return processID
        case .failure(let fault): throw .cannotStart(number: fault.number)
        }
    }

    private func ended(_ end: ProcessEnd) {
        process = nil
        // What it wrote last. Who holds the pipe besides is not waited for.
        while readPiece() {}
        finish(end == .exited(status: 0) ? .success(output) : .failure(.ended(end)))
    }

    /// Told at once: a process that does not die of SIGKILL is not waited for.
    private func fail(_ fault: ProgramFault) {
        kill()
        finish(.failure(fault))
    }

    /// It is reaped when it has ended: `process` holds this run until then.
    private func kill() {
        timer?.cancel()
        closePipe()
        guard let process else { return }
        // Not yet reaped, so the number is its own group's.
        Glibc.kill(-process.processID, SIGKILL)
        process.send(signal: SIGKILL)
    }

    private func finish(_ result: Result<[UInt8], ProgramFault>) {
        timer?.cancel()
        closePipe()
        output = []
        let done = done
        self.done = nil
        done?(result)
    }

    private func closePipe() {
        watch?.cancel()
        watch = nil
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    /// - Returns: whether there may be more.
    private func readPiece() -> Bool {
        guard descriptor >= 0 else { return false }
        let count = loop.readBuffer.withBytes { buffer in
            let count = read(descriptor, buffer.baseAddress, min(buffer.count, Self.pieceBytes))
            if count > 0 { output += buffer.prefix(count) }
            return count
        }
        if count < 0 { return errno == EINTR }
        guard count > 0 else {
            closePipe()
            return false
        }
        guard output.count <= maxBytes else {
            fail(.tooLong(maxBytes: maxBytes))
            return false
        }
        return true
    }
}

extension ProgramRun: DescriptorHandler {
    public func readable() -> Bool { readPiece() }
    public func writable() {}
}

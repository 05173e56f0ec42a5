internal import DequeModule
internal import EventLoop
internal import Tokens

/// What a request's time runs out for.
protocol TimedRun: AnyObject {
    /// When it is answered whatever Redis does; moves on with each batch of a command that has several.
    var deadline: MonotonicInstant { get }
    var isOver: Bool { get }
    func giveUp(_ service: TokenService)
}

/// One flow on its way. All that waits for Redis, for ends under way and for the loop holds this and nothing else.
final class Run<F: Flow>: TimedRun {
    var flow: F
    /// Nil once it was told.
    private var done: TokenService.Completion<F.Answer>?
    /// All scripts of the request carry it: past their time they do nothing.
    var arrival: MonotonicInstant
    var deadline = MonotonicInstant.latest
    /// It has its answer, told or not: what comes later is not for it.
    var isOver = false
    /// `run` has returned: from now on an answer may be told at once.
    var mayAnswer = false
    /// Redis was asked or told: the answer is not the near cache's.
    var leftMemory = false
    /// What it cannot do is no visitor's answer: one of the parts of a command, or housekeeping.
    var isUnreported = false
    /// Its time does not run: it waits for its turn.
    var isWaiting = false
    /// What it asked for has its turn.
    var hasTurn = false
    /// Whose request it is.
    var peer: AuditPeer?
    var writes = 0
    /// The write that is on its way.
    var writing: (write: SessionWrite, sid: SessionID)?
    /// From before the last read or write that began for it; nil where no replica is waited for.
    var replicaMark: SessionStore.ReplicaMark?
    /// Of all servers, from before the last page of an index was read; none where no replica is waited for.
    var replicaMarks: [SessionStore.ReplicaMark] = []
    /// Sessions that others wait for until this flow has answered.
    var held: [(sid: SessionID, number: UInt64)] = []

    init(_ flow: F, arrival: MonotonicInstant, _ done: @escaping TokenService.Completion<F.Answer>) {
        self.flow = flow
        self.arrival = arrival
        self.done = done
    }

    func giveUp(_ service: TokenService) { service.giveUp(self) }

    func tell(_ result: Result<F.Answer, ServiceFault>) {
        let done = done
        self.done = nil
        done?(result)
    }
}

/// The parts of one command that are carried out side by side: each chunk of them when its turn comes.
final class Batch: TimedRun {
    /// Parts of a chunk.
    static let chunk = 16

    let parts: [FlowPart]
    let peer: AuditPeer?
    private(set) var arrival = MonotonicInstant.latest
    private(set) var deadline = MonotonicInstant.latest
    private var begun = 0
    private var answers: [Result<PartAnswer, ServiceFault>?]
    private var left: Int
    private var open: [Int: any TimedRun] = [:]
    private var hasTurn = false
    /// Told when nothing of a chunk is under way any more, and whether that had a turn.
    private let chunkEnded: (Batch, _ hadTurn: Bool) -> Void

    init(_ parts: [FlowPart], peer: AuditPeer?, _ chunkEnded: @escaping (Batch, _ hadTurn: Bool) -> Void) {
        self.parts = parts
        self.peer = peer
        self.chunkEnded = chunkEnded
        answers = Array(repeating: nil, count: parts.count)
        left = parts.count
    }

    var isOver: Bool { left == 0 }
    /// Nil until all parts are answered.
    var gathered: [Result<PartAnswer, ServiceFault>]? { left == 0 ? answers.compactMap { $0 } : nil }

    /// The parts of the next chunk; their time begins now.
    func next(at now: MonotonicInstant, timeout: Duration) -> Range<Int> {
        (arrival, deadline, hasTurn) = (now, now + timeout, true)
        let chunk = begun..<min(parts.count, begun + Self.chunk)
        begun = chunk.upperBound
        return chunk
    }

    func began(_ part: Int, _ run: any TimedRun) { if answers[part] == nil { open[part] = run } }

    func answer(_ part: Int, _ result: Result<PartAnswer, ServiceFault>) {
        guard answers[part] == nil else { return }
        answers[part] = result
        open[part] = nil
        left -= 1
        if left == parts.count - begun { endChunk() }
    }

    /// Its turn does not come.
    func refuse(_ fault: ServiceFault) {
        failUnbegun(fault)
        endChunk()
    }

    func giveUp(_ service: TokenService) {
        failUnbegun(ServiceFault(Unavailable.timeIsUp))
        // Before its turn ends: nobody else begins to wait for Redis.
        service.turns.refuseAll(Unavailable.timeIsUp)
        for part in open.keys.sorted() { open[part]?.giveUp(service) }
    }

    private func failUnbegun(_ fault: ServiceFault) {
        for part in begun..<parts.count { answers[part] = .failure(fault) }
        left -= parts.count - begun
        begun = parts.count
    }

    private func endChunk() {
        let hadTurn = hasTurn
        (deadline, hasTurn) = (.latest, false)
        chunkEnded(self, hadTurn)
    }
}

/// Who asks for much at once waits for a turn, so that Redis is there for everybody: commands over many sessions, a piece
/// at a time, one command after the other.
final class Turns {
    /// Pieces at Redis at a time: one, so that what others ask for waits for little more than a piece.
    static let width = 1

    /// Who may wait.
    static let mostWaiting = 10_000
    /// Past it housekeeping is left to the next who looks.
    private static let busy = 16

    private var waiting = Deque<(Unavailable?) -> Void>()
    /// They go first: a login under a limit.
    private var urgent = Deque<(Unavailable?) -> Void>()
    private var taken = 0

    var isBusy: Bool { waiting.count > Self.busy }

    /// - Parameter begin: called when the turn has come, or with the fault that keeps it from coming. `end` follows each
    ///   turn.
    func take(isUrgent: Bool, _ begin: @escaping (Unavailable?) -> Void) {
        // Who has a turn asks for the next before it ends, and finds a place.
        guard waiting.count + urgent.count < Self.mostWaiting + taken else { return begin(.tooManyWait) }
        if isUrgent { urgent.append(begin) } else { waiting.append(begin) }
        goOn()
    }

    func end() {
        taken -= 1
        goOn()
    }

    /// Redis does not answer: who waits is not kept waiting for that to show once more.
    func refuseAll(_ fault: Unavailable) {
        let refused = urgent + waiting
        (urgent, waiting) = ([], [])
        for begin in refused { begin(fault) }
    }

    private func goOn() {
        while taken < Self.width, let begin = urgent.popFirst() ?? waiting.popFirst() {
            taken += 1
            begin(nil)
        }
    }
}

/// Runs in the order of their deadlines: all have the same time, so that is the order of their arrival.
final class RunQueue {
    private var runs = Deque<(deadline: MonotonicInstant, run: any TimedRun)>()
    private var timer: (any SchedulerTimer)?
    private var isArmed = false
    private unowned let service: TokenService
    private let scheduler: any Scheduler

    init(_ service: TokenService, _ scheduler: any Scheduler) {
        self.service = service
        self.scheduler = scheduler
        timer = scheduler.makeTimer { [unowned self] in
            isArmed = false
            tick()
        }
    }

    func append(_ run: any TimedRun) {
        // Most have been answered in the order they came in.
        while let first = runs.first, first.run.isOver { runs.removeFirst() }
        runs.append((run.deadline, run))
        if !isArmed { arm() }
    }

    private func tick() {
        let now = scheduler.now
        while let first = runs.first, first.run.isOver || first.deadline <= now {
            runs.removeFirst()
            // Its time may have begun anew since.
            if !first.run.isOver, first.run.deadline <= now { first.run.giveUp(service) }
        }
        if !isArmed { arm() }
    }

    /// The timer is left running where the first run is answered before its time.
    private func arm() {
        guard let first = runs.first else { return }
        isArmed = true
        timer?.start(after: max(.zero, scheduler.now.duration(to: first.deadline)))
    }
}

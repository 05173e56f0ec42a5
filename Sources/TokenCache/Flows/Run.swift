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
    /// One of the parts of a command, which is counted as one.
    var isPart = false
    /// Whose request it is.
    var peer: AuditPeer?
    var writes = 0
    /// The write that is on its way.
    var writing: (write: SessionWrite, sid: SessionID)?
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

/// The parts of one command that are carried out side by side, so many at a time.
final class Batch: TimedRun {
    /// Parts under way at a time.
    static let width = 100

    let parts: [FlowPart]
    let arrival: MonotonicInstant
    let deadline: MonotonicInstant
    let peer: AuditPeer?
    private(set) var started = 0
    private var answers: [Result<PartAnswer, ServiceFault>?]
    private var left: Int
    private var open: [(any TimedRun)?]
    private let gathered: ([Result<PartAnswer, ServiceFault>]) -> Void

    init(
        _ parts: [FlowPart], arrival: MonotonicInstant, deadline: MonotonicInstant, peer: AuditPeer?,
        _ gathered: @escaping ([Result<PartAnswer, ServiceFault>]) -> Void
    ) {
        self.parts = parts
        self.arrival = arrival
        self.deadline = deadline
        self.peer = peer
        self.gathered = gathered
        answers = Array(repeating: nil, count: parts.count)
        open = Array(repeating: nil, count: parts.count)
        left = parts.count
    }

    var isOver: Bool { left == 0 }

    /// The next part to begin, where there is room for one.
    func next() -> Int? {
        guard started < parts.count, started - (parts.count - left) < Self.width else { return nil }
        started += 1
        return started - 1
    }

    func began(_ part: Int, _ run: any TimedRun) { if answers[part] == nil { open[part] = run } }

    func answer(_ part: Int, _ result: Result<PartAnswer, ServiceFault>) {
        guard answers[part] == nil else { return }
        answers[part] = result
        open[part] = nil
        left -= 1
        if left == 0 { gathered(answers.compactMap { $0 }) }
    }

    func giveUp(_ service: TokenService) {
        let unbegun = started..<parts.count
        started = parts.count
        for run in open { run?.giveUp(service) }
        for part in unbegun { answer(part, .failure(ServiceFault(Unavailable.timeIsUp))) }
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

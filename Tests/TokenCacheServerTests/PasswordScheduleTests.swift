import EventLoop
import Testing

@testable import TokenCacheServer

@Suite("When redis.password-command is run again")
struct PasswordScheduleTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    @Test("before the password ages, and never by itself where nobody says how long it is good")
    func ageing() {
        var schedule = PasswordSchedule(lifetime: .seconds(900))
        schedule.ended(isNew: true, at: start)
        #expect(schedule.due == start + .seconds(675))
        var patient = PasswordSchedule(lifetime: .zero)
        patient.ended(isNew: true, at: start)
        #expect(patient.due == nil)
        var hasty = PasswordSchedule(lifetime: .milliseconds(1))
        hasty.ended(isNew: true, at: start)
        #expect(hasty.due == start + .seconds(1))
    }

    @Test("a program that gives the same password again is asked again before that one's age is over")
    func same() {
        var schedule = PasswordSchedule(lifetime: .seconds(3_600))
        schedule.ended(isNew: true, at: start)
        #expect(schedule.due == start + .seconds(2_700))
        schedule.ended(isNew: false, at: start + .seconds(2_700))
        #expect(schedule.due == start + .seconds(3_150))
        // Asked early, because Redis refused it: its age counts from when it was new.
        schedule.ended(isNew: false, at: start + .seconds(100))
        #expect(schedule.due == start + .seconds(2_700))
        // It has outlived its time.
        schedule.ended(isNew: false, at: start + .seconds(3_600))
        #expect(schedule.due == start + .seconds(6_300))
    }

    @Test(
        "after failures with pauses that grow from one second to thirty, and from one again once Redis took a password")
    func failures() {
        var schedule = PasswordSchedule(lifetime: .zero)
        var pauses: [Duration] = []
        for _ in 0..<7 {
            schedule.began()
            #expect(schedule.due == nil)
            schedule.failed(at: start)
            pauses.append(schedule.due.map { start.duration(to: $0) } ?? .zero)
        }
        #expect(pauses == [1, 2, 4, 8, 16, 30, 30].map { .seconds($0) })
        schedule.accepted()
        schedule.failed(at: start)
        #expect(schedule.due == start + .seconds(1))
    }

    @Test(
        "at once when Redis refuses a password that was good for a while; not in a storm, and never later than planned")
    func refusals() {
        var schedule = PasswordSchedule(lifetime: .seconds(900))
        schedule.ended(isNew: true, at: start)
        schedule.accepted()
        let later = start + .seconds(100)
        schedule.refused(at: later)
        #expect(schedule.due == later)
        schedule.began()
        schedule.ended(isNew: true, at: later)
        schedule.refused(at: later)
        #expect(schedule.due == later + .seconds(2))
        schedule.refused(at: later)
        #expect(schedule.due == later + .seconds(2))
        schedule.began()
        schedule.ended(isNew: true, at: later)
        schedule.refused(at: later)
        #expect(schedule.due == later + .seconds(8))
    }
}

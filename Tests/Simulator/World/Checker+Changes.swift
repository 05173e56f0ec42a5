import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// What was written, held against what was asked for.
extension Checker {
    func changed(_ key: String, _ entry: ModelEntry?, _ source: ModelRedis.ChangeSource) {
        if key == ModelRedis.mark { return }
        if entry != nil, source.path != nil, redis?.isMarked == true {
            fail("moved", "\(source.command) changed what is moved")
        }
        if let entry, entry.expireAt == nil, key.utf8.starts(with: "tc:".utf8) {
            fail("S9", "\(source.command) left a key without an end")
        }
        if key.utf8.starts(with: "tc:u:".utf8) { return indexChanged(key, entry, source) }
        if key.utf8.starts(with: "tc:s:~epoch".utf8) { return truth.noteEpoch(key, entry, at: agenda.now) }
        if key.utf8.starts(with: "tc:s:~".utf8) { return beaten(key, entry, source) }
        guard let sid = Self.sid(of: key) else { return }
        let hash = (entry?.fields ?? []).flatMap { [$0.name, $0.value] }
        guard let session = try? RecordCodec.decode(hash).session else {
            return fail("S1", "\(source.command) left a record that nobody can read")
        }
        if source.command == "lost" { lostWithMaster(sid, session) }
        let before = truth.last(sid)
        let moment = Truth.Moment(
            at: agenda.now, session: session, expireAt: entry?.expireAt.map(UnixMilliseconds.init))
        truth.note(sid, moment)
        dataChanged(sid, entry, source)
        if source.command == "lost" || source.command == "FLUSHALL" { return }
        if case .live(let record) = session { checkLimits(sid, record, moment, source) }
        // What a master lost with its predecessor is done once more, and others did something else meanwhile.
        if !masters.successions.isEmpty, lossy.contains(sid) {
            guard case .ended? = before?.session(at: truth.clock(at: agenda.now)), case .live = session else { return }
        }
        check(sid, before, moment, source)
    }

    /// S8: the fleet's proof of life is written once for each 200 ms, at its time.
    private func beaten(_ key: String, _ entry: ModelEntry?, _ source: ModelRedis.ChangeSource) {
        // Expired, flushed or lost: it may be written again.
        guard entry != nil else {
            beats.remove(key)
            return
        }
        if source.command == "lost" { return }
        if !beats.insert(key).inserted { fail("S8", "a beat was written twice") }
        let named = Int64(key.split(separator: "}").last?.drop { !$0.isNumber } ?? "") ?? 0
        let isInTime = truth.clocks(at: agenda.now).contains {
            named == $0.sinceEpoch / 200 || named == $0.sinceEpoch / 200 - 1
        }
        if !isInTime { fail("S5", "a beat was written at another time than its own") }
    }

    private func check(
        _ sid: SessionID, _ before: Truth.Moment?, _ after: Truth.Moment, _ source: ModelRedis.ChangeSource
    ) {
        let clock = truth.clock(at: agenda.now)
        switch (before?.session(at: clock) ?? .absent, after.session) {
        case (.live(let old), .live(let new)): moved(sid, from: old, to: new, source)
        case (.live(let old), .ended(let tombstone)): died(sid, old, tombstone, source)
        case (.live, .absent):
            if source.command != "expired" { fail("S6", "\(source.command) took a session away without a tombstone") }
        case (.absent, .live(let record)):
            let lived = truth.timelines[sid]?.dropLast().contains { if case .live = $0.session { true } else { false } }
            if lived == true, !guestSessions.contains(sid), !lossy.contains(sid) {
                fail("S6", "\(source.command) brought a session back")
            }
            if source.command == "touch" { fail("S6", "a touch made a session") }
            explain(sid, source, "made", { Self.makers.contains($0.operation) }, of: record)
        case (.ended, .live): fail("S6", "\(source.command) brought an ended session back")
        case (.ended(let old), .ended(var new)):
            // That LOGIN was called with a token since, is marked in it.
            if source.command == "note" { new.marks = old.marks }
            if old != new { fail("S6", "\(source.command) changed a tombstone") }
        case (.ended, .absent), (.absent, .absent): break
        case (.absent, .ended): break
        }
    }

    private static let makers: Set<Operation> = [.issue, .login, .set, .setIf, .incr, .expire, .rotate]

    /// S6, S8, S9, S13: what holds of every living session.
    private func checkLimits(
        _ sid: SessionID, _ record: SessionRecord, _ moment: Truth.Moment, _ source: ModelRedis.ChangeSource
    ) {
        if moment.expireAt != record.expireAt {
            fail("S9", "\(source.command) left a key with another end than its session")
        }
        guard !record.subject.isEmpty, let index = try? SubjectIndex(subject: record.subject, crypto: crypto) else {
            return
        }
        let key = key(of: index)
        if sessionsOfIndex[key]?.contains(sid) != true { sessionsOfIndex[key, default: []].append(sid) }
        // What was lost between the entry and the session is lost.
        if agenda.now - lastLoss < .milliseconds(3_000) { lossy.insert(sid) }
        let standing = cluster.map { $0.standing(key) } ?? redis?.keys[key]
        let score = standing?.members.first { $0.member == sid.hex }?.score ?? 0
        // Who looks between the entry and the session condemns it: it stays for two minutes, and who finds the session puts
        // it back.
        let isJustCondemned =
            score != score.rounded() && score > Double(truth.clock(at: agenda.now).sinceEpoch + 110_000)
        if score < Double(record.absoluteEnd.sinceEpoch), !isJustCondemned, !lossy.contains(sid) {
            fail("S13", "\(source.command) wrote a session that is not in its subject's index")
        }
    }

    private func moved(
        _ sid: SessionID, from old: SessionRecord, to new: SessionRecord, _ source: ModelRedis.ChangeSource
    ) {
        let isForced = new.forcedGeneration == new.generation && new.generation > old.generation
        let isLogin = isForced && recent.contains { $0.sid == sid && $0.operation == .login }
        if new.absoluteEnd != old.absoluteEnd, !isLogin, !isExpired(sid, new) {
            fail("S6", "\(source.command) moved the absolute end")
        }
        switch new.generation - old.generation {
        case 0:
            if new.current != old.current { fail("S2", "\(source.command) changed a token in its generation") }
            if new.revision == old.revision {
                guard new.lastAccess != old.lastAccess else {
                    return explain(sid, source, "data", { $0.operation.changesData }, of: nil)
                }
                touched(sid, old, new)
                explain(sid, source, "touch", { $0.operation.isAccess }, of: nil)
            } else if new.confirmedAt == old.confirmedAt {
                explain(sid, source, "limit", { $0.operation == .expire }, of: nil)
            } else {
                explain(sid, source, "confirmation", { $0.operation.isAccess }, of: nil)
            }
        case 1 where isForced:
            explain(sid, source, "forced rotation", { $0.operation == .login || $0.operation == .rotate }, of: nil)
        case 1:
            if new.previous?.digest != old.current {
                fail("S2", "\(source.command) rotated another token than the current")
            }
            explain(sid, source, "rotation", { $0.operation.isAccess }, of: nil)
        default: fail("S2", "\(source.command) went from generation \(old.generation) to \(new.generation)")
        }
    }

    /// Whether an EXPIRE asked for the end that a session has now.
    private func isExpired(_ sid: SessionID, _ record: SessionRecord) -> Bool {
        recent.contains { request in
            guard request.sid == sid, request.operation == .expire, let absolute = request.wish.limits.absolute else {
                return false
            }
            return isEnd(record.absoluteEnd, after: absolute, of: request)
        }
    }

    /// S8: no access is recorded within a touch interval of the last.
    private func touched(_ sid: SessionID, _ old: SessionRecord, _ new: SessionRecord) {
        let interval = policy.touchInterval(idle: new.idle)
        guard new.lastAccess - old.lastAccess < interval, !truth.hasJumped(since: agenda.now - .milliseconds(3_000))
        else { return }
        fail("S8", "an access was recorded \(new.lastAccess - old.lastAccess) ms after the last")
    }

    /// A session ends because somebody who may asked for it.
    private func died(
        _ sid: SessionID, _ old: SessionRecord, _ tombstone: Tombstone, _ source: ModelRedis.ChangeSource
    ) {
        switch tombstone.reason {
        case .logout:
            explain(sid, source, "logout", { $0.operation == .logout || $0.operation == .revoke }, of: old)
        case .logoutAll:
            let mayEnd = { (request: Request) in request.operation == .revokeAll && request.subject == old.subject }
            if !recent.contains(where: { mayEnd($0) && isInTime($0) }) {
                fail("S4", "a session was ended by nobody's REVOKEALL")
            }
        case .login: explain(sid, source, "replacement", { $0.operation == .login }, of: old)
        case .replay: punished(sid, old, source)
        case .admin:
            let isOver = truth.epochs.contains { $0.moment.map { old.created <= $0 } ?? false }
            if !isOver || source.command != "sweep" { fail("S4", "\(source.command) ended a session without a word") }
        case .limit: fail("S4", "no daemon ends a session for this reason")
        }
    }

    /// S4: made-up and honest late tokens never end a session.
    private func punished(_ sid: SessionID, _ old: SessionRecord, _ source: ModelRedis.ChangeSource) {
        guard policy.onReplay == .revoke else { return fail("S4", "a replay ended a session under `reject`") }
        let clocks = truth.clocks(at: agenda.now)
        let culprit = recent.first { request in
            guard request.sid == sid, request.operation.isAccess, let digest = request.digest, isInTime(request) else {
                return false
            }
            return clocks.contains { clock in
                old.standing(of: digest, policy: policy, now: clock + 60) == .retired(punishable: true)
            }
        }
        if culprit == nil { fail("S4", "a session was ended by no token that may end it") }
    }

    private func isInTime(_ request: Request) -> Bool {
        guard !request.isAbandoned else { return agenda.now <= request.began + Self.scriptLifetime * 2 }
        return agenda.now <= (request.finished ?? agenda.now) + Self.scriptLifetime
    }

    /// Every change was asked for by a request of this session that is under way, or was given up a moment ago.
    /// - Parameter record: where the request has to bring a token of its own.
    private func explain(
        _ sid: SessionID, _ source: ModelRedis.ChangeSource, _ what: String, _ mayDo: (Request) -> Bool,
        of record: SessionRecord?
    ) {
        guard source.path != nil, !truth.hasJumped(since: agenda.now - .milliseconds(8_000)) else { return }
        var candidates = recent.filter { request in
            mayDo(request) && request.daemon == source.path?.daemon
                && (request.sid == sid || request.operation == .issue || request.operation == .login)
        }
        guard !candidates.isEmpty else { return fail("S6", "\(source.command): nobody asked for this \(what)") }
        candidates = candidates.filter(isInTime)
        guard !candidates.isEmpty else { return fail("S6", "\(source.command): a \(what) long after it was given up") }
        guard what == "logout" else { return }
        let isOwn = candidates.contains { request in
            if request.operation == .revoke || request.guest != nil { return true }
            return genuine[sid]?.contains { $0.digest == request.digest } == true
        }
        if !isOwn { fail("S4", "a made-up verifier ended a session") }
    }

    /// S13: nothing that lives leaves its index.
    private func indexChanged(_ key: String, _ entry: ModelEntry?, _ source: ModelRedis.ChangeSource) {
        if source.command == "lost" { return lostWithMaster(key, entry) }
        guard source.command != "FLUSHALL" else { return }
        let clock = truth.clock(at: agenda.now)
        for sid in sessionsOfIndex[key] ?? [] where !lossy.contains(sid) {
            guard case .live(let record)? = truth.last(sid)?.session(at: clock), !record.subject.isEmpty,
                let index = try? SubjectIndex(subject: record.subject, crypto: crypto),
                self.key(of: index) == key
            else { continue }
            if entry?.members.contains(where: { $0.member == sid.hex }) != true {
                fail("S13", "\(source.command) took a living session out of its index")
            }
        }
    }

    // MARK: What daemons send

    /// Notes the ends that a daemon sends while something is wrong: whether they arrive is another matter.
    func sent(_ bytes: [UInt8], on path: SimulatedNetwork.PathName) {
        guard path.role == .data,
            recent.contains(where: { request in
                request.daemon == path.daemon && request.finished == nil
                    && (request.operation == .logout || request.operation == .revoke)
            })
        else { return }
        var reader = CommandReader()
        reader.feed(bytes)
        while let words = reader.next() {
            guard words.count > 7, text(words[0]) == "EVALSHA", words[2] == [UInt8(ascii: "1")],
                words[7] == [UInt8(ascii: "1")],
                let sid = Self.sid(of: text(words[3]))
            else { continue }
            endsSent[path.daemon, default: [:]][sid] = agenda.now
        }
    }
}

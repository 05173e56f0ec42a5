internal import EventLoop
internal import Logging
internal import UnixTime

/// How a node proves that what is remembered of its server is true.
extension RedisNode {
    // MARK: The beat

    /// After a pause the server is asked for a sign of life before the request, in the same write.
    func awaken() {
        activity.lastRequest = scheduler.now
        if !isBeating { beginBeating() }
    }

    private func beginBeating() {
        isBeating = true
        tagChanges = 0
        askForProof()
        timer?.start(after: Beat.interval)
    }

    func tick() {
        guard isRequested, link.state == .ready else {
            isBeating = false
            return
        }
        let now = scheduler.now
        if isArmed, beat.isOverdue(since: armedAt, now: now) || feed?.isSilent(at: now) == true {
            warn("the near cache cannot work: Redis does not tell within a second what it was told to write")
            feed?.drop(RedisFault(.timeout, "the feed fell silent"))
        }
        beginBeating()
    }

    /// Sends what the proof is an answer to.
    func askForProof() {
        guard link.state == .ready else { return }
        switch settings.proof {
        case .ping: feed?.ping()
        case .beat:
            if let time = link.serverTime { sendBeat(Beat.number(at: time), mayRepeat: true) }
        }
    }

    private func sendBeat(_ number: Int64, mayRepeat: Bool) {
        beat.called(number, at: scheduler.now)
        let digits = Array(String(number).utf8)
        let (server, tag) = (serversLeft, tag)
        let sentAt = scheduler.now
        let tagged = tag.isEmpty ? [] : [UInt8(ascii: "{")] + tag + [UInt8(ascii: "}")]
        link.run(Self.beatScript, keys: [beatPrefix + tagged + digits], arguments: [digits], repeatable: false) {
            [weak self] result in
            guard let self, server == serversLeft, tag == self.tag else { return }
            switch result {
            case .success(let reply):
                beatAnsweredAt = scheduler.now
                beatRoundTrip = sentAt.duration(to: beatAnsweredAt)
                beatAnswered(number, reply, mayRepeat: mayRepeat)
            // Nothing was said: a proof is missing, which shows by itself.
            case .failure(let fault) where fault.isSilence || fault.kind == .overloaded: break
            // Its slot is elsewhere, or on the way: nothing is said of the server.
            case .failure(let fault) where fault.kind == .cluster && onTagMoved != nil: onTagMoved?()
            case .failure(let fault): refused(fault)
            }
        }
    }

    private func beatAnswered(_ number: Int64, _ reply: RedisReply, mayRepeat: Bool) {
        guard case .array(let parts) = reply, parts.count == 2, case .bulk(let verdict) = parts[0],
            case .integer(let milliseconds) = parts[1]
        else { return refused(RedisFault(.protocolError, "Redis answered the beat unexpectedly")) }
        let time = UnixMilliseconds(milliseconds)
        link.observe(serverTime: time)
        guard verdict.elementsEqual("late".utf8) else {
            // It answers, and what it writes is not told: it is not away, and nothing is served in its stead.
            if let last = provedUntil, last.duration(to: scheduler.now) > Beat.proofLimit { provedUntil = nil }
            beat.accepted(number, isOwn: verdict.elementsEqual("done".utf8), clock: link.clock)
            return update()
        }
        // The estimate of Redis's clock was wrong, and is right now.
        if mayRepeat { sendBeat(Beat.number(at: time), mayRepeat: false) }
    }

    private func refused(_ fault: RedisFault) {
        warn("nothing is answered from memory: \(fault)", remedy: fault.remedy)
        beat.refused(fault)
        provedUntil = nil
        update()
    }

    private func warn(_ text: String, remedy: String? = nil) {
        let now = scheduler.now
        if let lastWarning, lastWarning.text == text, lastWarning.at.duration(to: now) < .seconds(60) { return }
        lastWarning = (now, text)
        var metadata: Logger.Metadata = ["redis": "\(endpoint)"]
        if let remedy { metadata["remedy"] = "\(remedy)" }
        logger.warning("\(text)", metadata: metadata)
    }

    // MARK: What is told

    func told(_ event: RedisFeed.Event) {
        switch event {
        case .changed(let invalidation): onInvalidation?(invalidation)
        // Another daemon's may go under another key for a moment.
        case .beat(_, let tag) where tag != self.tag: break
        case .beat(let number, _):
            beat.told(number, at: scheduler.now, clock: link.clock)
            update()
        case .pong(let sentAt):
            beatAnsweredAt = scheduler.now
            beatRoundTrip = sentAt.duration(to: beatAnsweredAt)
            beat.proved(at: sentAt)
            update()
        case .pingRefused(let fault): refused(fault)
        case .loginRefused: onLoginRefused?()
        case .subscribed(let runID):
            subscribedTo = runID
            arm()
        case .lost:
            subscribedTo = nil
            arm()
        }
    }

    func linkChanged(_ state: LinkState) {
        noteMove(state)
        arm()
        if state == .ready {
            // The server may have been demoted, or be another one, behind a feed that looks alive.
            if wasReady { feed?.renew() }
            wasReady = true
            // No beat comes to take a refusal back.
            if settings.proof == .ping {
                beat.roleConfirmed()
                update()
            }
            if isRequested { beginBeating() }
        }
        onStateChange?(state)
    }

    /// A connection is over. A server that says that it cannot serve is not silent: nothing is served in its stead.
    func linkLost(_ fault: RedisFault) {
        if fault.isLossOfRole { refused(fault) } else if !fault.isSilence { provedUntil = nil }
        if fault.isRefusedLogin { onLoginRefused?() }
        if fault.kind == .timeout { onSilence?() }
    }

    /// Whether a request came lately.
    private var isRequested: Bool { activity.lastRequest.duration(to: scheduler.now) <= Beat.activeSpan }

    private func arm() {
        let isArmed = link.state == .ready && subscribedTo != nil && subscribedTo == link.serverInfo.runID
        if isArmed != self.isArmed {
            self.isArmed = isArmed
            armings += isArmed ? 1 : 0
            beat.forgetProofs()
            armedAt = scheduler.now
            update()
            onArmed?(isArmed)
            // Soon after it is armed it is fresh, where somebody asks.
            if isArmed, isRequested { askForProof() }
        } else {
            update()
        }
    }

    /// Draws the conclusions of what is proved.
    func update() {
        let before = freshUntil
        judge()
        if freshUntil != before { onFreshness?() }
    }

    private func judge() {
        guard isArmed, confirmationFault == nil, beat.refusal == nil, let proof = beat.lastProof else {
            freshUntil = .earliest
            return
        }
        // All proofs held at the earliest of them.
        let held = min(proof, confirmation?.askedAt ?? proof)
        provedUntil = max(provedUntil ?? held, held)
        freshUntil = proof + Beat.proofLimit
        if let confirmation, let askedAt = confirmation.askedAt {
            freshUntil = min(freshUntil, askedAt + confirmation.lifetime)
        }
    }
}

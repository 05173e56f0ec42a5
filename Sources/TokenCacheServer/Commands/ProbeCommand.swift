internal import RedisLink
internal import TokenCache
internal import WireProtocol

/// PROBE: tries for an operator what sessions need of Redis, and tells how Redis and the other daemons are.
extension Dispatcher {
    func probe(_ call: Call, _ writer: inout ReplyWriter) -> CommandRow.Answered {
        let reply: TokenService.Completion<ProbeReport> = later(call) { [self] report, writer in
            writer.probe(report, environment.marking(), waitReplicas: environment.router.first.replicas?.count ?? 0)
        }
        // Side by side: where Redis is silent, one time-out is enough.
        var report: ProbeReport?
        var isMarked = false
        let finish = { if isMarked, let report { reply(.success(report)) } }
        environment.renewMark {
            isMarked = true
            finish()
        }
        service.probe {
            report = $0
            finish()
        }
        return .later
    }
}

extension ReplyWriter {
    fileprivate mutating func probe(_ report: ProbeReport, _ marking: DaemonMarking?, waitReplicas: Int) {
        let health = report.health
        let microseconds =
            report.took.components.seconds * 1_000_000 + report.took.components.attoseconds / 1_000_000_000_000
        map(12)
        bulk("status"); bulk(report.fault == nil ? "ok" : "failed")
        bulk("fault"); bulk(report.fault?.reason ?? "")
        bulk("remedy"); bulk(report.remedy)
        bulk("microseconds"); integer(microseconds)
        bulk("persistence"); bulk(health.persistence?.rawValue ?? "")
        bulk("disk"); bulk(health.isDiskFailing.map { $0 ? "failing" : "ok" } ?? "")
        bulk("used_memory"); integer(health.usedMemory ?? -1)
        bulk("maxmemory"); integer(health.maxMemory ?? -1)
        bulk("replicas"); integer(health.replicas ?? -1)
        bulk("wait_replicas"); integer(Int64(waitReplicas))
        bulk("name"); bulk(marking?.name ?? "")
        bulk("daemons"); array(marking?.marks.count ?? 0)
        for mark in marking?.marks ?? [] {
            map(4)
            bulk("name"); bulk(mark.name)
            bulk("fingerprint"); bulk(mark.fingerprint)
            bulk("version"); bulk(mark.version)
            bulk("age"); integer(mark.age)
        }
    }
}

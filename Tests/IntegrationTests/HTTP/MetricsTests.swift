import Foundation
import TestSupport
import Testing

@Suite("HTTP: metrics and status", .parallel)
struct MetricsTests {
    /// Name and labels → value.
    private func samples(_ text: String) throws -> [String: Double] {
        var samples: [String: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let space = try #require(line.lastIndex(of: " "))
            let name = String(line[..<space])
            #expect(samples[name] == nil, "twice: \(name)")
            let value: Double = try #require(Double(String(line[line.index(after: space)...])), "\(line)")
            samples[name] = value
        }
        return samples
    }

    @Test("metrics count what happened, each family has help and type, and histograms add up")
    func counting() throws {
        try withHTTP { site in
            let client = try site.world.client()
            let token = try site.login()
            for _ in 0..<5 { _ = try client.validate(token) }
            _ = try client.call("TOKEN.VALIDATE", TokenText.random())
            _ = try client.call("TOKEN.VALIDATE")
            _ = try site.http().get("/auth", [cookie(token)])
            _ = try client.call("TOKEN.REVOKE", try site.login())
            let answer = try site.http().get("/metrics")
            #expect(answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
            let samples = try samples(answer.body)
            let validate = "command=\"token.validate\""
            #expect(samples["tokencached_commands_total{\(validate),result=\"answered\"}"] == 6)
            #expect(samples["tokencached_commands_total{\(validate),result=\"rejected\"}"] == 1)
            #expect(samples["tokencached_tokens_validated_total{status=\"valid\"}"] == 6)
            #expect(samples["tokencached_tokens_validated_total{status=\"unknown\"}"] == 1)
            #expect(samples["tokencached_http_auth_accepted_total"] == 1)
            #expect(samples["tokencached_sessions_ended_total{reason=\"logout\"}"] == 1)
            #expect(samples["tokencached_sessions_ended_total{reason=\"limit\"}"] == 0)
            let causes = ["eviction", "flush", "invalidation", "write"]
            #expect(
                samples.keys.filter { $0.hasPrefix("tokencached_near_cache_dropped_total") }.sorted()
                    == causes.map { "tokencached_near_cache_dropped_total{cause=\"\($0)\"}" })
            #expect(samples["tokencached_command_duration_seconds_count{\(validate)}"] == 6)
            #expect(samples["tokencached_command_duration_seconds_bucket{\(validate),le=\"+Inf\"}"] == 6)
            let buckets = samples.filter { $0.key.hasPrefix("tokencached_command_duration_seconds_bucket{\(validate)") }
            #expect(buckets.count == 18 && buckets.values.allSatisfy { $0 <= 6 })
            #expect(samples.filter { $0.key.hasPrefix("tokencached_node_up{") }.map(\.value) == [1])
            #expect(samples["process_resident_memory_bytes"].map { $0 > 1e6 } == true)
            #expect(samples["process_start_time_seconds"].map { $0 > 1.7e9 } == true)
            #expect(samples["process_cpu_seconds_total"].map { $0 > 0 && $0 < 60 } == true)
            let lines = answer.body.split(separator: "\n")
            let typed = lines.filter { $0.hasPrefix("# TYPE ") }.map { $0.split(separator: " ")[2] }
            #expect(Set(typed).count == typed.count && typed.count > 80)
            #expect(typed == lines.filter { $0.hasPrefix("# HELP ") }.map { $0.split(separator: " ")[2] })
            #expect(!answer.body.contains("alice") && !answer.body.contains(TokenText.sid(token)))
            // Each socket tells the same.
            let names = { (text: String) in
                Set(text.split(separator: "\n").compactMap { $0.split(separator: " ").first })
            }
            let told = try #require(try client.call("METRICS").text)
            #expect(
                names(told).isSuperset(of: names(answer.body).filter { !$0.hasPrefix("process_") }.subtracting(["#"])))
            #expect(!told.contains("process_"))
        }
    }

    @Test("OpenMetrics where Accept asks for it")
    func open() throws {
        try withHTTP { site in
            let answer = try site.http().get(
                "/metrics", ["Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"])
            #expect(answer["Content-Type"]?.hasPrefix("application/openmetrics-text; version=1.0.0") == true)
            #expect(answer.body.hasSuffix("\n# EOF\n"))
            #expect(answer.body.contains("# TYPE tokencached_build info\n"))
            #expect(answer.body.contains("# TYPE tokencached_tokens_issued counter\n"))
            #expect(answer.body.contains("\ntokencached_tokens_issued_total "))
        }
    }

    @Test("the page may load and run nothing but itself, and its figures name no token and no subject")
    func page() throws {
        try withHTTP { site in
            let token = try site.login()
            _ = try site.world.client().validate(token)
            let page = try site.http().get("/")
            #expect(page.status == 200 && page["Content-Type"] == "text/html; charset=utf-8")
            let policy = try #require(page["Content-Security-Policy"])
            #expect(
                policy.contains("default-src 'none'") && policy.contains("script-src 'sha256-")
                    && !policy.contains("unsafe"))
            let loaded = page.body.replacing("http://www.w3.org/2000/svg", with: "")
            #expect(!loaded.contains("http://") && !loaded.contains("https://") && !loaded.contains("//cdn"))
            #expect(!page.body.contains("/*style*/") && !page.body.contains("/*script*/"))
            let status = try site.http().get("/status.json")
            #expect(status["Content-Type"] == "application/json")
            for part in ["\"ready\":true", "\"problems\":[]", "\"command\":\"TOKEN.VALIDATE\"", "\"nodes\":[{"] {
                #expect(status.body.contains(part), "\(part): \(status.body)")
            }
            #expect(!status.body.contains("alice") && !status.body.contains(TokenText.sid(token)))
            // Forward auth has a row of its own, as soon as somebody is asked about.
            #expect(!status.body.contains("\"command\":\"/auth\""))
            for _ in 0..<3 { #expect(try site.http().get("/auth", [cookie(token)]).status == 200) }
            let asked = try site.http().get("/status.json")
            #expect(asked.body.contains("{\"command\":\"/auth\",\"calls\":3,\"failed\":0,"), "\(asked.body)")
            let worker = try site.world.client()
            #expect(try worker.call("PING") == .simple("PONG"))
            let metrics = try site.http().get("/metrics").body
            #expect(metrics.contains("\ntokencached_http_auth_duration_seconds_count 3\n"))
            #expect(metrics.contains("\ntokencached_connected_clients 1\n"), "HTTP has places of its own")
        }
    }

    @Test("what is wrong stands on the page with its remedy")
    func problems() throws {
        try withHTTP { site in
            let server = try site.world.requireServer()
            let admin = try server.client()
            _ = try admin.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            // It is looked at when a connection is made.
            _ = try admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            let status = try eventually("the policy is told") { () throws -> String? in
                _ = try? site.world.client().call("TOKEN.VALIDATE", TokenText.random())
                let text = try site.http().get("/status.json").body
                return text.contains(" is allkeys-lru: sessions vanish") ? text : nil
            }
            let metric = try site.http().get("/metrics").body.split(separator: "\n").first {
                $0.hasPrefix("tokencached_node_noeviction{node=")
            }
            #expect(metric?.hasSuffix("} 0") == true, "\(metric ?? "none")")
            // Since when is told though nobody but the page saw it begin.
            _ = try eventually("its age") {
                let since = try site.http().get("/status.json").body.components(separatedBy: "vanish\",\"since\":").last
                return since?.first.flatMap(\.wholeNumberValue).map { $0 > 0 } == true ? true : nil
            }
            #expect(status.contains("\"remedy\":\"CONFIG SET maxmemory-policy noeviction"))
            #expect(status.components(separatedBy: "allkeys-lru").count == 2, "told once: \(status)")
            // The connection that was cut is over, and still told.
            #expect(status.contains("\"faults\":[{\"place\":\"Redis at "), "\(status)")
            #expect(status.contains("\"warnings\":[]"))
            let ready = try site.http().get("/readyz")
            #expect(ready.status == 503 && ready.body.contains("noeviction"))
        }
    }

    @Test("a Redis that falls silent is not ready on the page, too, and the page says why")
    func silence() throws {
        try withHTTP { site in
            let http = try site.http()
            #expect(try http.get("/readyz").status == 200)
            let server = try site.world.requireServer()
            server.pause()
            defer { server.resume() }
            _ = try eventually("the daemon is not ready") { () throws -> Bool? in
                let body = try http.get("/status.json").body
                let ready = try http.get("/readyz")
                guard body.contains("\"ready\":false") else { return nil }
                #expect(ready.status == 503)
                #expect(!body.contains("\"problems\":[]"), "\(body)")
                return true
            }
        }
    }
}

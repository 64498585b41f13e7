import Multiformats
import PeerNode

/// `jobs`: every job that the node remembers.
enum JobsCommand {
    static let verb = Verb(
        name: "jobs",
        summary: "list jobs, newest first",
        operands: "",
        example: "peerctl jobs",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let jobs = try await access.service.jobs()
            defer { call.noteWaiting(jobs, access) }
            if call.wantsJSON {
                for job in jobs { call.print(job.json) }
            } else if call.isQuiet {
                for job in jobs { call.streams.line(job.id.description) }
            } else {
                let rows = jobs.map { job in
                    [
                        job.id.description, job.state.rawValue, "\(Int(job.fractionDone * 100))%",
                        job.result?.description ?? "-", job.name,
                    ]
                }
                for row in Table.aligned([["JOB", "STATE", "DONE", "RESULT", "NAME"]] + rows) {
                    call.streams.line(row)
                }
            }
        }
    }
}

/// `cancel`: ends a job.
enum CancelCommand {
    static let verb = Verb(
        name: "cancel",
        summary: "end a job without a result",
        operands: "JOB",
        example: "peerctl cancel JOB",
        operandCount: 1...1
    ) { call in
        try await call.withNode { access in
            let id = try await call.job(call.operands[0], of: access.service).id
            try await access.service.cancelJob(id)
            if call.wantsJSON {
                call.print(["id": .string(id.description)])
            } else if !call.isQuiet {
                call.streams.line("cancelled \(id)")
            }
        }
    }
}

/// `logs`: what happened to a job.
enum LogsCommand {
    static let verb = Verb(
        name: "logs",
        summary: "print the log of a job",
        operands: "JOB",
        example: "peerctl logs JOB",
        operandCount: 1...1
    ) { call in
        try await call.withNode { access in
            let id = try await call.job(call.operands[0], of: access.service).id
            for entry in try await access.service.jobLog(id) {
                if call.wantsJSON {
                    call.print(entry.json)
                } else {
                    call.streams.line("\(Log.timestamp(milliseconds: entry.time)) \(entry.message)")
                }
            }
        }
    }
}

internal import BackupFormat
internal import BackupNode

/// What a node reads of people's texts: the configuration, sizes and times; and the JSON that it writes.
let nodeTargets: [FuzzTarget] = [
    FuzzTarget(
        name: "configuration",
        run: { bytes in
            var configuration = Configuration()
            let problems = configuration.apply(Array(bytes), file: "bakare.toml")
            for problem in problems {
                try promise(problem.line > 0 || problem.message.hasPrefix("and "), "a problem without a place")
                try promise(problem.line <= bytes.count + 1, "a line that is not there")
                try promise(problem.column <= bytes.count + 1, "a column that is not there")
                try promise(problem.description.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }, "a control character in a message")
                try promise(!problem.description.isEmpty, "a problem without words")
            }
            if !problems.isEmpty {
                try promise(configuration.origins.isEmpty, "took over values from a file with mistakes")
            } else {
                try promise(configuration.memoryBytes >= Configuration.memoryBytesMin, "took over too little memory")
            }
        },
        seeds: {
            let template = Configuration.template
            let enabled = template.split(separator: "\n").map { line in
                line.hasPrefix("#") && line.contains("=") && !line.hasPrefix("# ") ? line.dropFirst() : line
            }.joined(separator: "\n")
            let texts = [
                template, enabled, "memory = 1\n[sources]\npaths = 3\n", "a = [[[[1]]]]", "x.y.z = {a = 1979-05-27}", "[.a]",
                "[[s]]\nk.\"l\" = '\\'\r\n",
            ]
            return texts.map { Array($0.utf8) }
        }),
    FuzzTarget(
        name: "path-json",
        run: { bytes in
            for member in pathMembers(RawPath(bytes: Array(bytes))) {
                let json = member.value.text
                try promise(json.utf8.allSatisfy { $0 >= 0x20 }, "JSON with a control character")
                try promise(json.utf8.first == 0x22 && json.utf8.last == 0x22, "JSON of another kind")
            }
        },
        seeds: { [Array("/home/\u{202e}txt.exe\\x41\u{7f}\"".utf8), [0xff, 0xfe, 0x0a, 0x1b, 0x5b]] }),
    FuzzTarget(
        name: "units",
        run: { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            if let count = byteCount(text) {
                try promise(count >= 0, "a negative size")
                _ = describeBytes(count)
            }
            if let span = CalendarSpan(text) { try promise(CalendarSpan(span.text) == span, "a span that reads otherwise") }
            var choices = Choices(bytes)
            var number: Int64 = 0
            for _ in 0..<8 { number = number << 8 | Int64(choices.byte()) }
            _ = CalendarTime.local(number)
            _ = CalendarTime.utc(number)
            _ = describeCount(Int(number))
            _ = describeBytes(Int(number))
            _ = describeSeconds(Double(bitPattern: UInt64(bitPattern: number)))
            _ = decimal(Double(bitPattern: UInt64(bitPattern: number)), places: 6)
        },
        seeds: { ["1.5GiB", "9223372036854775807", "1e400", "30d", "1y6m2w3d4h", "latest~2"].map { Array($0.utf8) } }),
]

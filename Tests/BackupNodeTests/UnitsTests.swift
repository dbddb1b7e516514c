import BackupFormat
import BackupNode
import Testing

@Test(
    "sizes are read in units of 1000 and 1024",
    arguments: [
        ("4096", 4096), ("512MiB", 512 << 20), ("10GB", 10_000_000_000), ("1.5 GiB", 3 << 29), ("1k", 1024), ("0", 0), ("7b", 7),
    ])
func readsSizes(text: String, bytes: Int) { #expect(byteCount(text) == bytes) }

@Test("what is no size is refused", arguments: ["", "x", "-1", "1.", ".5", "1QB", "9999999999999GB", "1 2MBx", "0x10", "1e3"])
func refusesSizes(text: String) { #expect(byteCount(text) == nil) }

@Test("sizes, counts and times read well")
func describes() {
    #expect(describeBytes(812) == "812 B")
    #expect(describeBytes(1023) == "1023 B")
    #expect(describeBytes(1536) == "1.50 KiB")
    #expect(describeBytes(12 << 20) == "12.0 MiB")
    #expect(describeBytes(1_048_575) == "1.00 MiB")
    #expect(describeBytes(.max) == "8.00 EiB")
    #expect(describeCount(3_065_438) == "3,065,438")
    #expect(describeCount(1, "file") == "1 file")
    #expect(describeCount(0, "entry", "entries") == "0 entries")
    #expect(describeSeconds(0.4249) == "0.42 s")
    #expect(describeSeconds(247) == "4:07 min")
    #expect(describeSeconds(11_100) == "3:05 h")
    #expect(describeSeconds(2 * 86_400 + 4 * 3600) == "2 d 4 h")
    #expect(describeSeconds(.infinity) == "?")
    #expect(decimal(-1.25, places: 1) == "-1.3")
    #expect(decimal(0.004, places: 2) == "0.00")
}

@Test("spans are read as restic writes them")
func spans() {
    #expect(CalendarSpan("30d") == CalendarSpan(days: 30))
    #expect(CalendarSpan("2y5m7d3h") == CalendarSpan(years: 2, months: 5, days: 7, hours: 3))
    #expect(CalendarSpan("2w") == CalendarSpan(days: 14))
    #expect(CalendarSpan("2y5m7d3h")?.text == "2y5m7d3h")
    for text in ["", "d", "3", "3x", "0d", "100001d", "-3d"] { #expect(CalendarSpan(text) == nil, "\(text)") }
}

@Test("moments before 1970 and after 2100 have the right date")
func dates() {
    #expect(CalendarTime.utc(0) == CalendarTime(year: 1970, month: 1, day: 1))
    #expect(CalendarTime.utc(-1) == CalendarTime(year: 1969, month: 12, day: 31, hour: 23, minute: 59, second: 59))
    #expect(timestampText(951_827_696_250_000_000) == "2000-02-29T12:34:56.25Z")
    #expect(timestampText(-621_355_968_000_000_000) == "1950-04-24T09:07:12Z")
    #expect(timestampText(.max) == "2262-04-11T23:47:16.854775807Z")
    #expect(timestampText(.min) == "1677-09-21T00:12:43.145224192Z")
}

@Test("JSON escapes what it must, and shows a path that is not UTF-8 twice")
func json() {
    let value = JSON.object(["a": .array([.int(1), .null, .bool(true)]), "b\n": .string("\"\\\u{1}é"), "c": .number(.infinity)])
    #expect(value.text == #"{"a": [1, null, true], "b\n": "\"\\\u0001é", "c": null}"#)
    #expect(JSON.array([]).prettyText == "[]")
    #expect(JSON.object(["a": .array([.int(1)])]).prettyText == "{\n  \"a\": [\n    1\n  ]\n}")
    #expect(JSON.object(pathMembers("/é\\x")).text == #"{"path": "/é\\x"}"#)
    let latin = RawPath(bytes: [0x2f, 0xe9])
    #expect(JSON.object(pathMembers(latin)).text == #"{"path": "/\\xe9", "path_base64": "L+k="}"#)
    #expect(JSON.object(pathsMembers(["/a", latin])).text == #"{"paths": ["/a", "/\\xe9"], "paths_base64": ["L2E=", "L+k="]}"#)
    #expect(base64(Array("foobar".utf8)) == "Zm9vYmFy")
    #expect(base64(Array("foob".utf8)) == "Zm9vYg==")
}

@Test("paths become absolute where they are")
func absolutePaths() {
    let environment = Environment(values: [:], userID: 0, workingDirectory: "/home/me")
    #expect(environment.absolute("work/./x//") == "/home/me/work/x")
    #expect(environment.absolute("../you") == "/home/you")
    #expect(environment.absolute("/a/../../b") == "/b")
    #expect(environment.absolute("/") == "/")
    #expect(environment.absolute(".") == "/home/me")
}

/// Bytes from text as people write sizes: `4096`, `512MiB`, `10GB`, `1.5GiB`; `K`, `M`, `G`, `T` alone are powers of 1024.
///
/// Case does not matter. Nil for anything else, for a negative size and for one beyond 2^63 - 1.
package func byteCount(_ text: String) -> Int? {
    let text = text.filter { $0 != " " }.lowercased()
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), !digits.hasSuffix("."), !digits.hasPrefix(".") else { return nil }
    let factors: [String: Double] = [
        "": 1, "b": 1, "k": 0x1p10, "kib": 0x1p10, "kb": 1e3, "m": 0x1p20, "mib": 0x1p20, "mb": 1e6, "g": 0x1p30,
        "gib": 0x1p30, "gb": 1e9, "t": 0x1p40, "tib": 0x1p40, "tb": 1e12, "p": 0x1p50, "pib": 0x1p50, "pb": 1e15,
    ]
    guard let factor = factors[String(text.dropFirst(digits.count))] else { return nil }
    if let whole = Int(digits) {
        let (bytes, overflow) = whole.multipliedReportingOverflow(by: Int(factor))
        return overflow ? nil : bytes
    }
    return Int(exactly: (number * factor).rounded())
}

/// A size for people: three digits and a unit of 1024, e.g. `1.53 GiB`, `12.0 MiB`, `812 B`.
package func describeBytes(_ count: Int) -> String {
    if count < 1024 { return "\(count) B" }
    var value = Double(count)
    var unit = 0
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 999.5, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return "\(decimal(value, places: value < 9.995 ? 2 : value < 99.95 ? 1 : 0)) \(units[unit])"
}

/// A whole number with commas between thousands.
package func describeCount(_ count: Int) -> String {
    var digits = Array(String(count.magnitude).utf8)
    var place = digits.count - 3
    while place > 0 {
        digits.insert(UInt8(ascii: ","), at: place)
        place -= 3
    }
    return (count < 0 ? "-" : "") + String(decoding: digits, as: UTF8.self)
}

/// `1 file`, `2 files`, with commas.
package func describeCount(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(describeCount(count)) \(count == 1 ? one : many ?? one + "s")"
}

/// A time span for people: `0.42 s`, `12.3 s`, `4:07 min`, `3:05 h`, `2 d 4 h`.
package func describeSeconds(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0 else { return "?" }
    if seconds < 9.995 { return "\(decimal(seconds, places: 2)) s" }
    if seconds < 59.95 { return "\(decimal(seconds, places: 1)) s" }
    let whole = Int(min(seconds.rounded(), 1e12))
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    if whole < 3600 { return "\(whole / 60):\(two(whole % 60)) min" }
    if whole < 86_400 { return "\(whole / 3600):\(two(whole / 60 % 60)) h" }
    return "\(describeCount(whole / 86_400)) d \(whole / 3600 % 24) h"
}

/// A number of not too many digits with a fixed number of decimal places (0 to 6).
package func decimal(_ value: Double, places: Int) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let scaled = (value.magnitude * scale).rounded()
    guard scaled < 0x1p62 else { return "\(value)" }
    var digits = String(Int(scaled))
    while digits.utf8.count <= places { digits = "0" + digits }
    let sign = value < 0 && scaled > 0 ? "-" : ""
    return places == 0 ? sign + digits : "\(sign)\(digits.dropLast(places)).\(digits.suffix(places))"
}

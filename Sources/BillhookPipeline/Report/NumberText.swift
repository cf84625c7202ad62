internal import Foundation

/// Numbers as a person reads them, always with their unit.
public enum NumberText {
  /// `1.61 MiB`, `412 B`.
  public static func bytes(_ count: Int) -> String {
    var value = Double(count)
    var unit = 0
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(count) B" : "\(significant(value)) \(units[unit])"
  }

  /// `421,834`.
  public static func count(_ number: Int) -> String {
    let digits = String(number.magnitude)
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return number < 0 ? "-" + result : result
  }

  /// `12.3 M`, for amounts of arithmetic.
  public static func magnitude(_ number: Int) -> String {
    let value = Double(number)
    for (limit, unit) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] where value >= limit {
      return "\(significant(value / limit)) \(unit)"
    }
    return "\(number)"
  }

  /// `2.41 ms`, `310 µs`, `12.0 s`, `2 min 5 s`.
  public static func seconds(_ value: Double) -> String {
    if value < 1e-3 { return "\(significant(value * 1e6)) µs" }
    if value < 1 { return "\(significant(value * 1e3)) ms" }
    if value < 100 { return "\(significant(value)) s" }
    let whole = Int(value.rounded())
    return "\(whole / 60) min \(whole % 60) s"
  }

  /// Three significant digits, without an exponent.
  public static func significant(_ value: Double) -> String {
    let size = abs(value)
    return fixed(value, digits: size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)
  }

  /// A number of any size with two or three digits: "4.09", "3.6e-07".
  public static func small(_ value: Double) -> String {
    guard value != 0, abs(value) < 0.01 else { return significant(value) }
    return String(format: "%.1e", value)
  }

  public static func fixed(_ value: Double, digits: Int) -> String {
    String(format: "%.\(digits)f", value)
  }

  /// A fraction in 0...1 with four digits.
  public static func fraction(_ value: Double) -> String { fixed(value, digits: 4) }

  /// `+0.31`, `-1.20`: a difference of fractions in points (hundredths).
  public static func points(_ difference: Double) -> String {
    let text = fixed(difference * 100, digits: 2)
    return text == "-0.00" ? "+0.00" : difference >= 0 ? "+\(text)" : text
  }
}

/// A number of bytes, computed from the sizes of the main input: `4 * (rows + 1)`.
///
///     sum     = product { ("+" | "-") product }
///     product = value { ("*" | "/") value }
///     value   = NUMBER | "rows" | "cols" | "count" | "(" sum ")"
struct PlainArithmetic: Sendable, Equatable {
  fileprivate enum Step: Sendable, Equatable {
    case number(Int)
    case rows, cols, count
    case add, subtract, multiply, divide
  }
  /// More is no size that a function needs.
  static let byteLimit = 1 << 40
  private static let depthLimit = 16

  /// In postfix order.
  fileprivate var steps: [Step] = []

  /// The value, 0 to ``byteLimit``; nil when it is none, or divides by 0.
  func value(rows: Int, cols: Int, count: Int) -> Int? {
    var stack: [Int] = []
    for step in steps {
      switch step {
      case .number(let value): stack.append(value)
      case .rows: stack.append(rows)
      case .cols: stack.append(cols)
      case .count: stack.append(count)
      case .add, .subtract, .multiply, .divide:
        let right = stack.removeLast()
        let left = stack.removeLast()
        guard step != .divide || right != 0 else { return nil }
        let (value, isOver) =
          switch step {
          case .add: left.addingReportingOverflow(right)
          case .subtract: left.subtractingReportingOverflow(right)
          case .multiply: left.multipliedReportingOverflow(by: right)
          default: left.dividedReportingOverflow(by: right)
          }
        guard !isOver else { return nil }
        stack.append(value)
      }
    }
    guard let value = stack.last, (0...Self.byteLimit).contains(value) else { return nil }
    return value
  }

  static func parse(_ text: String) -> Result<PlainArithmetic, PlainFault> {
    var parser = Parser(text: Array(text))
    var result = PlainArithmetic()
    do throws(PlainFault) {
      try parser.sum(&result.steps, depth: 0)
      guard parser.position == parser.text.count else {
        throw PlainFault("\"\(String(parser.text[parser.position...]))\" follows a size")
      }
      return .success(result)
    } catch {
      return .failure(error)
    }
  }

  private struct Parser {
    let text: [Character]
    var position = 0

    mutating func sum(_ steps: inout [Step], depth: Int) throws(PlainFault) {
      try product(&steps, depth: depth)
      while let mark = peek, mark == "+" || mark == "-" {
        position += 1
        try product(&steps, depth: depth)
        steps.append(mark == "+" ? .add : .subtract)
      }
    }

    private mutating func product(_ steps: inout [Step], depth: Int) throws(PlainFault) {
      try value(&steps, depth: depth)
      while let mark = peek, mark == "*" || mark == "/" {
        position += 1
        try value(&steps, depth: depth)
        steps.append(mark == "*" ? .multiply : .divide)
      }
    }

    private mutating func value(_ steps: inout [Step], depth: Int) throws(PlainFault) {
      if peek == "(" {
        guard depth < PlainArithmetic.depthLimit else {
          throw PlainFault("a size has more than \(PlainArithmetic.depthLimit) levels of brackets")
        }
        position += 1
        try sum(&steps, depth: depth + 1)
        guard peek == ")" else { throw PlainFault("a \")\" is missing in a size") }
        position += 1
        return
      }
      var word = ""
      while let next = peek, next.isASCII, next.isLetter || next.isNumber {
        word.append(next)
        position += 1
      }
      switch word {
      case "rows": steps.append(.rows)
      case "cols": steps.append(.cols)
      case "count": steps.append(.count)
      default:
        guard let number = Int(word) else {
          throw PlainFault(
            word.isEmpty
              ? "a number, rows, cols or count is missing in a size"
              : "\"\(word)\" is not a number, rows, cols or count")
        }
        steps.append(.number(number))
      }
    }

    private var peek: Character? { position < text.count ? text[position] : nil }
  }
}

extension PlainArithmetic {
  /// True when the size depends on rows or columns, which a piece of a layer has none of.
  var usesRows: Bool { steps.contains(.rows) || steps.contains(.cols) }
}

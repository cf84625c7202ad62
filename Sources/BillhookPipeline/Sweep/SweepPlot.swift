internal import BillhookCompression
internal import Foundation

/// Accuracy against sparsity as an SVG picture: a line a scorer, a band for the 95 % interval.
///
/// Colours are those of Okabe and Ito, *Color Universal Design*, 2008, which people with any common
/// colour vision can tell apart; markers and dashes differ too, for a print in grey.
struct SweepPlot {
  let report: SweepReport

  private static let colours = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
  ]
  private static let dashes = ["", "7 3", "2 3", "9 3 2 3"]

  // Pixels. The legend stands right of the plot, so that it never covers a line.
  private let width = 860.0
  private let height = 500.0
  private let left = 76.0
  private let top = 76.0
  private let plotWidth = 540.0
  private let plotHeight = 352.0
  /// Characters of a legend line, and of the lines above the plot.
  private let legendRoom = 30
  private let headingRoom = 110

  func svg() -> String {
    let points = report.points
    let base = report.unpruned.evaluation
    let x = Axis(
      points.map(\.sparsity), limits: 0...1, start: left, end: left + plotWidth)
    let y = Axis(
      points.flatMap { [$0.evaluation.intervalLow, $0.evaluation.intervalHigh] }
        + [base.intervalLow, base.intervalHigh],
      limits: 0...1, start: top + plotHeight, end: top)
    var body = grid(x, y) + unpruned(x, y)
    for (index, label) in report.labels.enumerated() {
      body += series(points.filter { $0.label == label }, index, x, y)
    }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(width)) \(Int(height))" \
      width="\(Int(width))" height="\(Int(height))" \
      font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222222">
      <title>Accuracy against sparsity</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      \(text(left, 30, "Accuracy against sparsity", #"font-size="18" font-weight="bold""#))
      \(text(left, 52, Self.shortened(report.heading, headingRoom), ##"fill="#555555""##))
      \(body)\(axisTitles())\(legend())</svg>

      """
  }

  // MARK: - Parts

  private func grid(_ x: Axis, _ y: Axis) -> String {
    var lines = ""
    for tick in y.ticks {
      lines += line(left, y[tick], left + plotWidth, y[tick], ##"stroke="#dddddd""##)
      lines += text(left - 10, y[tick] + 4.5, y.label(tick), #"text-anchor="end""#) + "\n"
    }
    for tick in x.ticks {
      lines += line(x[tick], top, x[tick], top + plotHeight, ##"stroke="#eeeeee""##)
      lines +=
        text(x[tick], top + plotHeight + 20, x.label(tick), #"text-anchor="middle""#) + "\n"
    }
    let axis = ##"stroke="#444444""##
    lines += line(left, top, left, top + plotHeight, axis)
    return lines + line(left, top + plotHeight, left + plotWidth, top + plotHeight, axis)
  }

  private func axisTitles() -> String {
    let middle = top + plotHeight / 2
    return text(
      left + plotWidth / 2, top + plotHeight + 46,
      "sparsity (share of weights that are zero or cut out)", #"text-anchor="middle""#) + "\n"
      + text(
        22, middle, "top-1 accuracy on \(report.unpruned.evaluation.count) samples",
        #"text-anchor="middle" transform="rotate(-90 22 \#(number(middle)))""#) + "\n"
  }

  private func unpruned(_ x: Axis, _ y: Axis) -> String {
    let base = report.unpruned.evaluation
    let high = y[base.intervalHigh]
    return """
      <rect x="\(number(left))" y="\(number(high))" width="\(number(plotWidth))" \
      height="\(number(y[base.intervalLow] - high))" fill="#888888" fill-opacity="0.15"/>

      """
        + line(
          left, y[base.top1], left + plotWidth, y[base.top1],
          ##"stroke="#777777" stroke-width="1.5" stroke-dasharray="4 4""##)
  }

  private func series(_ points: [SweepReport.Point], _ index: Int, _ x: Axis, _ y: Axis) -> String {
    let colour = Self.colours[index % Self.colours.count]
    let places = points.sorted { $0.sparsity < $1.sparsity }
    func path(_ value: (SweepReport.Point) -> Double) -> [String] {
      places.map { "\(number(x[$0.sparsity])),\(number(y[value($0)]))" }
    }
    var result = ""
    if places.count > 1 {
      let outline = path(\.evaluation.intervalHigh) + path(\.evaluation.intervalLow).reversed()
      result += """
        <polygon points="\(outline.joined(separator: " "))" fill="\(colour)" fill-opacity="0.15"/>
        <polyline points="\(path(\.evaluation.top1).joined(separator: " "))" fill="none" \
        stroke="\(colour)" stroke-width="2"\(dash(index))/>

        """
    }
    for point in places {
      let place = x[point.sparsity]
      // Bars beside the band: they stay visible where bands of several scorers lie on each other.
      result += line(
        place, y[point.evaluation.intervalLow], place, y[point.evaluation.intervalHigh],
        #"stroke="\#(colour)" stroke-width="1.5""#)
      result += marker(place, y[point.evaluation.top1], index)
    }
    return result
  }

  private func legend() -> String {
    let x = left + plotWidth + 20
    var y = top + 8
    var result = ""
    for (index, label) in report.labels.enumerated() {
      result += line(
        x, y, x + 34, y,
        #"stroke="\#(Self.colours[index % Self.colours.count])" stroke-width="2"\#(dash(index))"#)
      result += marker(x + 17, y, index)
      result += text(x + 44, y + 4.5, Self.shortened(label, legendRoom - 7), "") + "\n"
      y += 24
    }
    result += line(
      x, y, x + 34, y, ##"stroke="#777777" stroke-width="1.5" stroke-dasharray="4 4""##)
    result += text(x + 44, y + 4.5, "unpruned network", "") + "\n"
    y += 24
    result += """
      <rect x="\(number(x))" y="\(number(y - 7))" width="34" height="14" fill="#888888" \
      fill-opacity="0.25"/>

      """
    return result + text(x + 44, y + 4.5, "95 % interval", "") + "\n"
  }

  private func marker(_ x: Double, _ y: Double, _ index: Int) -> String {
    let style = ##"fill="\##(Self.colours[index % Self.colours.count])" stroke="#ffffff""##
    let r = 4.5
    func polygon(_ corners: [(Double, Double)]) -> String {
      let text = corners.map { "\(number(x + $0.0 * r)),\(number(y + $0.1 * r))" }
      return "<polygon points=\"\(text.joined(separator: " "))\" \(style)/>\n"
    }
    return switch index % 5 {
    case 0: "<circle cx=\"\(number(x))\" cy=\"\(number(y))\" r=\"\(r)\" \(style)/>\n"
    case 1: polygon([(-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)])
    case 2: polygon([(0, -1.2), (1.1, 0.85), (-1.1, 0.85)])
    case 3: polygon([(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)])
    default: polygon([(0, 1.2), (1.1, -0.85), (-1.1, -0.85)])
    }
  }

  // MARK: - Elements

  private func dash(_ index: Int) -> String {
    let dash = Self.dashes[index % Self.dashes.count]
    return dash.isEmpty ? "" : " stroke-dasharray=\"\(dash)\""
  }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String
  ) -> String {
    "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" "
      + "\(style)/>\n"
  }

  private func text(_ x: Double, _ y: Double, _ content: String, _ style: String) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\"\(style.isEmpty ? "" : " " + style)>"
      + "\(Self.escaped(content))</text>"
  }

  private func number(_ value: Double) -> String { NumberText.fixed(value, digits: 2) }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      // Other control characters are not allowed in XML, in whatever form.
      case _ where scalar.value < 0x20: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// The text, or its beginning and its end: where names differ, they do at the end.
  private static func shortened(_ text: String, _ room: Int) -> String {
    text.count <= room ? text : "\(text.prefix(room / 2 - 1))…\(text.suffix(room - room / 2))"
  }
}

/// A linear axis with ticks at round numbers.
struct Axis {
  let ticks: [Double]
  private let low: Double
  private let high: Double
  private let start: Double
  private let end: Double
  private let digits: Int

  /// - Parameters:
  ///   - values: What must be inside.
  ///   - limits: What the axis never goes beyond.
  ///   - start: The place of the lowest number in the picture, `end` of the highest.
  init(_ values: [Double], limits: ClosedRange<Double>, start: Double, end: Double) {
    var low = values.min() ?? limits.lowerBound
    var high = values.max() ?? limits.upperBound
    if high - low < 0.02 {
      low -= 0.05
      high += 0.05
    }
    // The step of 1, 2 or 5 times a power of ten that gives five to ten intervals.
    let magnitude = Foundation.pow(10, Foundation.floor(Foundation.log10((high - low) / 5)))
    let step = ([1.0, 2, 5, 10].first { (high - low) / ($0 * magnitude) <= 8 } ?? 10) * magnitude
    low = max(limits.lowerBound, (low / step + 1e-9).rounded(.down) * step)
    high = min(limits.upperBound, (high / step - 1e-9).rounded(.up) * step)
    ticks = Array(
      stride(from: (low / step - 1e-9).rounded(.up), through: high / step + 1e-9, by: 1)
    ).map { $0 * step }
    digits = max(1, Int((-Foundation.log10(step) - 1e-9).rounded(.up)))
    self.low = low
    self.high = high
    self.start = start
    self.end = end
  }

  /// The place of a number in the picture.
  subscript(value: Double) -> Double {
    start + (min(max(value, low), high) - low) / (high - low) * (end - start)
  }

  func label(_ tick: Double) -> String {
    // Multiples of a step can be a hair below 0.
    NumberText.fixed(abs(tick) < 1e-9 ? 0 : tick, digits: digits)
  }
}

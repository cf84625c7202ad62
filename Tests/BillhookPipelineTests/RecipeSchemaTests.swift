import BillhookTestSupport
import Foundation
import Testing

@testable import BillhookPipeline

@Suite struct RecipeSchemaTests {
  @Test func `the committed JSON Schema says what the parser takes`() throws {
    let golden = GoldenFile("PluginSDK/schema/recipe.schema.json")
    let text = String(decoding: try reportJSON(RecipeSchema.whole), as: UTF8.self)
    let difference = golden.difference(from: text)
    #expect(difference == nil, "\(difference ?? "")")
  }
}

/// The vocabulary as a JSON Schema (draft 2020-12), for editors.
private enum RecipeSchema {
  indirect enum JSON: Encodable {
    case text(String), number(Double), integer(Int), truth(Bool), list([JSON])
    case object([String: JSON])

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let value): try container.encode(value)
      case .number(let value): try container.encode(value)
      case .integer(let value): try container.encode(value)
      case .truth(let value): try container.encode(value)
      case .list(let values): try container.encode(values)
      case .object(let values): try container.encode(values)
      }
    }
  }

  static var whole: JSON {
    guard case .object(var object) = section(RecipeVocabulary.recipe) else { return .truth(false) }
    object["$schema"] = .text("https://json-schema.org/draft/2020-12/schema")
    object["title"] = .text("Billhook recipe, version \(Recipe.formatVersion)")
    return .object(object)
  }

  static func section(_ section: RecipeSection) -> JSON {
    var properties: [String: JSON] = [:]
    for key in section.keys { properties[key.name] = schema(key) }
    return .object([
      "type": .text("object"), "description": .text(section.doc),
      "additionalProperties": .truth(false), "properties": .object(properties),
      "required": .list(section.keys.filter(\.isRequired).map { .text($0.name) }),
    ])
  }

  static func schema(_ key: RecipeKey) -> JSON {
    guard case .object(var object) = kind(key.kind) else { return .truth(true) }
    object["description"] = .text(
      key.doc + (key.standard.map { " Default: \($0)." } ?? ""))
    return .object(object)
  }

  static func kind(_ kind: RecipeKey.Kind) -> JSON {
    switch kind {
    case .integer(let low, let high):
      var object: [String: JSON] = ["type": .text("integer"), "minimum": .integer(low)]
      if high < .max { object["maximum"] = .integer(high) }
      return .object(object)
    case .number(let range):
      var object: [String: JSON] = [
        "type": .text("number"),
        range.includesLow ? "minimum" : "exclusiveMinimum": .number(range.low),
      ]
      if range.high.isFinite {
        object[range.includesHigh ? "maximum" : "exclusiveMaximum"] = .number(range.high)
      }
      return .object(object)
    case .boolean: return .object(["type": .text("boolean")])
    case .text: return .object(["type": .text("string")])
    case .choice(let words): return .object(["enum": .list(words.map { .text($0) })])
    case .sizes(let count):
      return .object([
        "type": .text("array"), "minItems": .integer(count), "maxItems": .integer(count),
        "items": .object([
          "type": .text("integer"), "minimum": .integer(RecipeKey.sizeRange.lowerBound),
          "maximum": .integer(RecipeKey.sizeRange.upperBound),
        ]),
      ])
    case .pairs:
      return .object([
        "type": .text("object"), "additionalProperties": .object(["type": .text("string")]),
      ])
    case .texts:
      return .object([
        "anyOf": .list([
          .object(["type": .text("string")]),
          .object(["type": .text("array"), "items": .object(["type": .text("string")])]),
        ])
      ])
    case .dataSource:
      return .object([
        "type": .text("string"),
        "pattern": .text("^(fashion-mnist:(train|test)|idx:.+:(train|test)|npz:.+)"),
      ])
    case .parameters:
      let scalar: JSON = .list(["string", "number", "boolean"].map { .text($0) })
      return .object([
        "type": .text("object"),
        "additionalProperties": .object([
          "anyOf": .list([
            .object(["type": scalar]),
            .object(["type": .text("array"), "items": .object(["type": scalar])]),
          ])
        ]),
      ])
    case .section(let inner): return section(inner)
    case .textOrSection(let inner):
      return .object(["anyOf": .list([.object(["type": .text("string")]), section(inner)])])
    case .stages:
      let forms: [JSON] = RecipeVocabulary.stages.map { name, inner in
        .object([
          "type": .text("object"), "additionalProperties": .truth(false),
          "properties": .object([name: section(inner)]), "required": .list([.text(name)]),
        ])
      }
      return .object([
        "type": .text("array"), "minItems": .integer(1),
        "items": .object(["anyOf": .list(forms + [.object(["const": .text("evaluate")])])]),
      ])
    }
  }
}

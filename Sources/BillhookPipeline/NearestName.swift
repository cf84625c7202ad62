internal import BillhookTensor

/// ` Did you mean "X"?`, or nothing.
func suggestion(for word: String, in candidates: [String]) -> String {
  nearestNames(to: word, in: candidates).first.map { " Did you mean \"\($0)\"?" } ?? ""
}

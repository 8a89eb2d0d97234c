#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace folio::examples {

/// Draws DIR/loss.svg from DIR/metrics.jsonl (training and validation loss by step) with gnuplot. Returns what to tell the
/// user if it could not be drawn.
std::optional<std::string> draw_loss_curve(const std::filesystem::path& folder);

}  // namespace folio::examples

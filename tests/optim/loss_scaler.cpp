#include "optim/loss_scaler.hpp"

#include <cmath>
#include <limits>
#include <set>

#include "optim/clip.hpp"
#include "optim/sgd.hpp"
#include "tests/optim/support.hpp"
#include "tests/shares.hpp"

namespace folio::optim {
namespace {

TEST(LossScaler, StartsAt65536AndDoublesAfter2000CleanSteps) {
  LossScaler scaler;
  EXPECT_EQ(scaler.scale(), 65536);
  for (int i = 0; i < 1999; ++i) EXPECT_TRUE(scaler.update(true));
  EXPECT_EQ(scaler.scale(), 65536);
  EXPECT_TRUE(scaler.update(true));
  EXPECT_EQ(scaler.scale(), 131072);
  for (int i = 0; i < 1999; ++i) scaler.update(true);
  EXPECT_EQ(scaler.scale(), 131072);
  EXPECT_EQ(scaler.skipped(), 0);
}

TEST(LossScaler, HalvesOnOverflowAndCountsAnew) {
  LossScaler scaler({.initial = 8, .growth_interval = 3});
  scaler.update(true);
  scaler.update(true);
  EXPECT_FALSE(scaler.update(false));
  EXPECT_EQ(scaler.scale(), 4);
  EXPECT_EQ(scaler.skipped(), 1);
  scaler.update(true);
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 4) << "clean steps from before the overflow were counted";
  scaler.update(true);
  EXPECT_EQ(scaler.scale(), 8);
  EXPECT_EQ(scaler.clean_steps(), 0);
}

FOLIO_PROPERTY(LossScaler, GoesOnWhereItWasRestored) {
  const auto before = *rc::gen::arbitrary<std::vector<bool>>(), after = *rc::gen::arbitrary<std::vector<bool>>();
  LossScaler one({.growth_interval = 2}), other({.growth_interval = 2});
  for (bool clean : before) one.update(clean);
  shares.note("restored to another scale than the first", one.scale() != other.scale(), 50);
  shares.note("restored between two clean steps", one.clean_steps() > 0, 20);
  shares.note("with steps skipped before", one.skipped() > 0, 70);
  shares.note("with clean steps and skipped ones after", std::set(after.begin(), after.end()).size() > 1, 70);
  other.restore(one.scale(), one.clean_steps(), one.skipped());
  for (bool clean : after) RC_ASSERT(one.update(clean) == other.update(clean));
  RC_ASSERT(one.scale() == other.scale());
  RC_ASSERT(one.clean_steps() == other.clean_steps());
  RC_ASSERT(one.skipped() == other.skipped());
}

TEST(LossScaler, RefusesWhatMakesNoSense) {
  EXPECT_THROW(LossScaler({.initial = 0}), Error);
  EXPECT_THROW(LossScaler({.growth_interval = 0}), Error);
  LossScaler scaler;
  EXPECT_THROW(scaler.restore(std::nan(""), 0, 0), Error);
  EXPECT_THROW(scaler.restore(1, 2000, 0), Error);
  EXPECT_THROW(scaler.restore(1, 0, -1), Error);
  EXPECT_EQ(scaler.scale(), 65536);
}

/// Scaled gradients, unscaled before they are clipped, move the parameters as the true ones do.
TEST(LossScaler, LeavesTheUpdateAsItIs) {
  for (const double limit : {0.01, 1e6}) {
    Parameters plain = some_parameters(), scaled = some_parameters();
    set_gradients(plain, 3);
    set_gradients(scaled, 3);
    const LossScaler scaler;
    for (Parameter& p : scaled) p.value.set_grad(p.value.grad() * scaler.scale());
    const Clipped expected = clip_by_global_norm(plain, limit);
    const Clipped clipped = clip_by_global_norm(scaled, limit, scaler.scale());
    EXPECT_EQ(clipped.norm(), expected.norm());
    EXPECT_EQ(clipped.factor() * scaler.scale(), expected.factor());
    SGD(plain).step(expected);
    SGD(scaled).step(clipped);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      EXPECT_EQ(scaled[i].value.to_vector(), plain[i].value.to_vector()) << plain[i].name;
    }
  }
  EXPECT_THROW(clip_by_global_norm(some_parameters(), 1, 0), Error);
}

}  // namespace
}  // namespace folio::optim

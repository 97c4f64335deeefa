// Whether stated probabilities come true: reliability bins, expected calibration error (Naeini et al. 2015; Guo et
// al. 2017, eq. 3), Brier score (Brier 1950). Missing probabilities are skipped and counted; one outside [0, 1] is
// Error(kData); nothing left is nullopt.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "merit/stats/bootstrap.h"
#include "merit/stats/interval.h"

namespace merit::stats {

struct ReliabilityBin {
  double low = 0;  // the bin is [low, high), the last one [low, high]
  double high = 0;
  double mean_predicted = 0;
  Estimate right;  // the share right, with Wilson's interval
};

struct Calibration {
  std::vector<ReliabilityBin> bins;  // empty bins left out
  Estimate ece;                      // sum over bins of n_b/n |share right - mean predicted|; interval by bootstrap
  Estimate brier;                    // mean of (p - right)^2; interval by bootstrap
};

// `bins` bins of equal width over [0, 1].
std::optional<Calibration> calibration(std::span<const double> probabilities, const std::vector<bool>& right,
                                       size_t bins = 10, const BootstrapOptions& options = {});

}  // namespace merit::stats

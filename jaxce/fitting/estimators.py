"""Linear estimators of the cluster-expansion field, as unfitted scikit-learn estimators.

Each function gives an estimator for `[structures, correlations]` matrices, whose column 0 is the constant 1, and
energies in eV per prim. Correlations are standardised where the estimator penalises coefficients. The constant then
becomes 0, and an intercept, which is not penalised, takes its place; `jaxce.io.from_sklearn` folds it back into the
coefficients.

Inner cross-validations shuffle with a fixed seed. Sample weights go to the last step of a pipeline
(`step_name__sample_weight`); what takes none says so. The scaling is that of all structures alike. Where there is a
`rule`, it is "best" or "one_standard_error" (`jaxce.fitting.one_standard_error`): the second gives sparser models.

Comparisons: Fransson, Eriksson and Erhart, npj Comput. Mater. 6, 135 (2020); Barroso-Luque et al., Phys. Rev. B 106,
144202 (2022).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_selection import RFECV
from sklearn.linear_model import ARDRegression, BayesianRidge, LinearRegression, Ridge, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxce.cluster_space import ClusterSpace
from jaxce.fitting.adaptive_lasso import AdaptiveLasso
from jaxce.fitting.cluster_groups import orbit_groups, sub_cluster_groups
from jaxce.fitting.elastic_net import ElasticNetOnPath
from jaxce.fitting.group_lasso import GroupLasso
from jaxce.fitting.matching_pursuit import MatchingPursuitOnPath
from jaxce.fitting.penalty_path import shuffled_folds
from jaxce.fitting.prior_ridge import PriorRidge

# Penalises only what the structures leave undetermined: a part in 1e6 of the curvature of one standardised correlation.
_NEARLY_NO_PENALTY = 1e-6


def least_squares() -> LinearRegression:
    """Ordinary least squares, not scaled; of many solutions the shortest.

    Connolly and Williams, Phys. Rev. B 27, 5169 (1983), with more structures than clusters. Takes `sample_weight`.
    """
    return LinearRegression()


def physical_prior(space: ClusterSpace) -> PriorRidge:
    """Bayesian ridge whose prior decays with the order and the diameter of the clusters (`PriorRidge`).

    The default of `jaxce.fit`: its errors are among the lowest on the data sets of docs/fitting.md, it has standard
    deviations, and nothing to choose. Takes `sample_weight`.

    Args:
        space: the cluster space, for the orders and diameters of its clusters.
    """
    table = space.to_dataframe()
    return PriorRidge(table["order"].to_numpy(), table["diameter"].to_numpy())


def ridge(alphas: Any = None) -> Pipeline:
    """Ridge regression; its penalty is chosen by leave-one-out, which has a closed form.

    Leave-one-out scores of cluster expansions: van de Walle and Ceder, J. Phase Equilib.
    23, 348 (2002). Takes `ridgecv__sample_weight`.

    Args:
        alphas: penalties to choose from; by default 37 from 1e-6 to 1e3.
    """
    return make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-6, 3, 37) if alphas is None else alphas))


def lasso(cv: Any = 5, rule: str = "best") -> Pipeline:
    """Lasso: many coefficients become exactly 0.

    Known in this field as compressive sensing: Nelson, Hart, Zhou and Ozolins, Phys. Rev. B 87, 035125 (2013). Takes
    `elasticnetonpath__sample_weight`.

    Args:
        cv: folds, splitter or splits that choose the penalty.
        rule: how the penalty is chosen.
    """
    return make_pipeline(StandardScaler(), ElasticNetOnPath(1.0, cv=cv, rule=rule))


def elastic_net(
    cv: Any = 5, rule: str = "best", l1_ratio: float | int | Sequence[float | int] = (0.5, 0.9, 0.99, 1.0)
) -> Pipeline:
    """Elastic net, between ridge and lasso: of correlated clusters it keeps all or none.

    Zou and Hastie, J. R. Stat. Soc. B 67, 301 (2005). Takes `transformedtargetregressor__sample_weight`.

    Args:
        cv: folds, splitter or splits that choose the penalty and the share.
        rule: how the penalty is chosen; the share is always the best.
        l1_ratio: shares of the lasso to choose from; 1 is the lasso.
    """
    return _standardised(ElasticNetOnPath(l1_ratio, cv=cv, rule=rule))


def adaptive_lasso(cv: Any = 5, rule: str = "best", gamma: float | int = 1.0) -> Pipeline:
    """Adaptive lasso: sparser than the lasso, and large coefficients are shrunk less.

    Zou, J. Am. Stat. Assoc. 101, 1418 (2006). Takes `adaptivelasso__sample_weight`.

    Args:
        cv: folds, splitter or splits that choose the penalties.
        rule: how the lasso's penalty is chosen.
        gamma: exponent of the ridge coefficients in the weights.
    """
    return make_pipeline(StandardScaler(), AdaptiveLasso(gamma=gamma, cv=cv, rule=rule))


def group_lasso(space: ClusterSpace, cv: Any = 5, rule: str = "best") -> Pipeline:
    """Group lasso: all functions of an orbit come in or stay out together.

    With several species an orbit has several functions, and a choice between them would depend on the site basis. With
    two species it is the lasso. Leong and Tan, Phys. Rev. B 100, 134108 (2019). Takes `grouplasso__sample_weight`.

    Args:
        space: the cluster space, for its orbits.
        cv: folds, splitter or splits that choose the penalty.
        rule: how the penalty is chosen.
    """
    return make_pipeline(StandardScaler(), GroupLasso(orbit_groups(space), cv=cv, rule=rule))


def hierarchical_lasso(space: ClusterSpace, cv: Any = 5, rule: str = "best") -> Pipeline:
    """Group lasso of orbits with all their sub-clusters: a cluster comes in only with its sub-clusters.

    Leong and Tan, Phys. Rev. B 100, 134108 (2019), as a latent group lasso (Jacob, Obozinski and Vert 2009).
    Sub-clusters that the space does not have are not asked for. Takes `grouplasso__sample_weight`.

    Args:
        space: the cluster space, for its orbits and their sub-clusters.
        cv: folds, splitter or splits that choose the penalty.
        rule: how the penalty is chosen.
    """
    return make_pipeline(StandardScaler(), GroupLasso(sub_cluster_groups(space), cv=cv, rule=rule))


def ard(threshold_lambda: float | int = 1e4) -> Pipeline:
    """Automatic relevance determination: each coefficient has a prior width of its own, fitted to the evidence.

    MacKay (1994) and Tipping, J. Mach. Learn. Res. 1, 211 (2001); for cluster expansions Nelson, Ozolins, Reese, Zhou
    and Hart, Phys. Rev. B 88, 155105 (2013). Takes no sample weights.

    Args:
        threshold_lambda: coefficients with a prior precision above this become 0. Energies are standardised too, so
            1e4 drops what is below a hundredth of their standard deviation.
    """
    return _standardised(ARDRegression(threshold_lambda=threshold_lambda, max_iter=1000))


def bayesian_ridge() -> Pipeline:
    """Ridge regression whose penalty maximises the evidence: MacKay, Neural Comput. 4, 415 (1992).

    Bayesian cluster expansions: Mueller and Ceder, Phys. Rev. B 80, 024103 (2009). Takes
    `transformedtargetregressor__sample_weight`.
    """
    return _standardised(BayesianRidge(max_iter=1000))


def orthogonal_matching_pursuit(cv: Any = 5, rule: str = "best", max_functions: int | None = None) -> Pipeline:
    """Least squares on the functions that come in one by one, each time the most correlated with the residual.

    Pati, Rezaiifar and Krishnaprasad (1993). Takes `matchingpursuitonpath__sample_weight`.

    Args:
        cv: folds, splitter or splits that choose the number of functions.
        rule: how that number is chosen.
        max_functions: largest number of functions; by default all, or half as many as there are structures.
    """
    return make_pipeline(StandardScaler(), MatchingPursuitOnPath(cv=cv, rule=rule, max_functions=max_functions))


def recursive_elimination(cv: Any = 5, step: float | int = 1) -> Pipeline:
    """Least squares from which the function of the smallest coefficient is left out again and again.

    Guyon, Weston, Barnhill and Vapnik, Mach. Learn. 46, 389 (2002); for cluster expansions Angqvist et al., Adv. Theory
    Simul. 2, 1900015 (2019). Coefficients are those of standardised correlations. Takes no sample weights.

    Args:
        cv: folds, splitter or splits that choose the number of functions.
        step: functions left out at a time; below 1, as a share of all.
    """
    eliminated = RFECV(
        Ridge(alpha=_NEARLY_NO_PENALTY), step=step, cv=shuffled_folds(cv), scoring="neg_mean_squared_error"
    )
    return make_pipeline(StandardScaler(), eliminated)


def _standardised(estimator: Any) -> Pipeline:
    """Energies are standardised too, for estimators whose penalties or priors would depend on the unit of energy."""
    return make_pipeline(StandardScaler(), TransformedTargetRegressor(estimator, transformer=StandardScaler()))

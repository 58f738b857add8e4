"""Linear estimators for `jaxce.fit`, each a function that makes an unfitted scikit-learn estimator."""

from jaxce.fitting.estimators import (
    adaptive_lasso as adaptive_lasso,
    ard as ard,
    bayesian_ridge as bayesian_ridge,
    elastic_net as elastic_net,
    group_lasso as group_lasso,
    hierarchical_lasso as hierarchical_lasso,
    lasso as lasso,
    least_squares as least_squares,
    orthogonal_matching_pursuit as orthogonal_matching_pursuit,
    physical_prior as physical_prior,
    recursive_elimination as recursive_elimination,
    ridge as ridge,
)
from jaxce.fitting.prior_ridge import PriorRidge as PriorRidge

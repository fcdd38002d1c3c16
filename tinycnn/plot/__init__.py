"""The pictures of a run: each function takes plain arrays and returns a Matplotlib `Figure`.

Nothing is shown and no window is opened; `save` writes a figure as PNG.
"""

from tinycnn.plot.activations import activation_maps
from tinycnn.plot.confusion import confusion_matrix
from tinycnn.plot.filters import kernels
from tinycnn.plot.gallery import samples
from tinycnn.plot.history import learning_curves
from tinycnn.plot.mistakes import misclassified
from tinycnn.plot.receiver import compare_rocs, roc_curve
from tinycnn.plot.style import save

__all__ = [
    "activation_maps",
    "compare_rocs",
    "confusion_matrix",
    "kernels",
    "learning_curves",
    "misclassified",
    "roc_curve",
    "samples",
    "save",
]

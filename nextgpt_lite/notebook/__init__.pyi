from .chat import ChatWidget as ChatWidget
from .exercises import check as check, check_shape as check_shape, expect as expect
from .plots import (
    LivePlot as LivePlot,
    contact_sheet as contact_sheet,
    plot_losses as plot_losses,
    show_clip as show_clip,
    show_figure as show_figure,
    show_pictures as show_pictures,
    show_sound as show_sound,
)
from .rating import RatingWidget as RatingWidget
from .results import record as record
from .start import start as start

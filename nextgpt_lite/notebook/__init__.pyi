from .chat import ChatWidget as ChatWidget
from .exercises import (
    check as check,
    check_shape as check_shape,
    expect as expect,
    solved as solved,
)
from .inside import show_trace as show_trace
from .inspection import InspectionWidget as InspectionWidget
from .plots import (
    LivePlot as LivePlot,
    contact_sheet as contact_sheet,
    plot_losses as plot_losses,
    show_audio as show_audio,
    show_figure as show_figure,
    show_images as show_images,
    show_video as show_video,
)
from .rating import RatingWidget as RatingWidget
from .results import record as record
from .sliders import explore as explore
from .start import start as start

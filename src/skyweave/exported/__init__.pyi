from .apply import AppliedModel, apply_model
from .model_file import ExportedFile, load_exported

__all__ = ["AppliedModel", "ExportedFile", "apply_model", "load_exported"]
